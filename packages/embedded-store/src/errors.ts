/** The error codes that the store answers with: name and number as in MongoDB's error_codes.yml. */
export const CODES = {
  InternalError: 1,
  BadValue: 2,
  NoSuchKey: 4,
  HostUnreachable: 6,
  FailedToParse: 9,
  Unauthorized: 13,
  TypeMismatch: 14,
  Overflow: 15,
  IllegalOperation: 20,
  InvalidBSON: 22,
  NamespaceNotFound: 26,
  IndexNotFound: 27,
  PathNotViable: 28,
  CannotCreateIndex: 67,
  CursorNotFound: 43,
  NamespaceExists: 48,
  CommandNotFound: 59,
  ImmutableField: 66,
  InvalidOptions: 72,
  InvalidNamespace: 73,
  IndexOptionsConflict: 85,
  IndexKeySpecsConflict: 86,
  WriteConflict: 112,
  ConflictingUpdateOperators: 40,
  DocumentValidationFailure: 121,
  NotSingleValueField: 54,
  InvalidDBRef: 55,
  NotExactValueField: 111,
  CannotBackfillArray: 34,
  QueryFeatureNotAllowed: 224,
  ConversionFailure: 241,
  MergeStageNoMatchingDocument: 13113,
  QueryExceededMemoryLimitNoDiskUseAllowed: 292,
  NoSuchTransaction: 251,
  TransactionTooOld: 225,
  TransactionCommitted: 256,
  OperationNotSupportedInTransaction: 263,
  CommandNotSupported: 115,
  ExceededTimeLimit: 262,
  MaxTimeMSExpired: 50,
  ExceededMemoryLimit: 146,
  Interrupted: 11601,
  InvalidIdField: 53,
  EmptyFieldName: 56,
  DollarPrefixedFieldName: 52,
  DuplicateKey: 11000,
  BSONObjectTooLarge: 10334,
  ProtocolError: 17,
  InvalidLength: 16,
  DataCorruptionDetected: 328,
  ShutdownInProgress: 91,
  QueryPlanKilled: 175,
  CursorInUse: 12051,
  InvalidIndexSpecificationOption: 197,
  IllegalOpMsgFlag: 223,
  UnsupportedOpQueryCommand: 352,
  SnapshotTooOld: 239,
  SnapshotUnavailable: 246,
  LockBusy: 46,
  ClientMetadataMissingField: 183,
  ClientMetadataAppNameTooLarge: 184,
  ClientMetadataDocumentTooLarge: 185,
  ClientMetadataCannotBeMutated: 186,
  IndexBuildAborted: 276,
  OperationFailed: 96,
  OutOfDiskSpace: 14031,
} as const;

export type CodeName = keyof typeof CODES;

/**
 * An error that is sent to the client. `code` is a name of CODES, or a bare number for the numbered assertions of
 * MongoDB that have no name ("Location40323").
 */
export class StoreError extends Error {
  readonly code: number;
  readonly codeName: string;

  constructor(
    code: CodeName | number,
    message: string,
    readonly details: {
      /** Error labels for drivers, such as TransientTransactionError. */
      labels?: string[];
      /** More fields of the reply, such as keyPattern and keyValue. */
      extra?: Record<string, unknown>;
    } = {},
  ) {
    super(message);
    this.name = 'StoreError';
    this.code = typeof code === 'number' ? code : CODES[code];
    this.codeName =
      typeof code === 'string'
        ? code
        : (Object.entries(CODES).find(([, number]) => number === code)?.[0] ?? `Location${code}`);
  }
}
