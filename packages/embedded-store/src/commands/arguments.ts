import { integral } from '../bson/numbers';
import { typeName } from '../bson/compare';
import type { Document, Value } from '../bson/types';
import { StoreError, type CodeName } from '../errors';

/** The codes of the errors that a command's fields can have. */
interface ArgumentCodes {
  readonly wrongType: CodeName;
  readonly unknownField: CodeName | number;
  readonly belowMinimum: CodeName | number;
}

const CODES: ArgumentCodes = { wrongType: 'TypeMismatch', unknownField: 40415, belowMinimum: 51024 };

/** Commands whose fields MongoDB parsed with other error codes before it had one parser for all commands. */
const OLDER_CODES: ReadonlyMap<string, ArgumentCodes> = new Map<string, ArgumentCodes>([
  ['find', { wrongType: 'FailedToParse', unknownField: 'FailedToParse', belowMinimum: 'BadValue' }],
  ['getMore', { wrongType: 'TypeMismatch', unknownField: 'FailedToParse', belowMinimum: 'BadValue' }],
  ['aggregate', { wrongType: 'TypeMismatch', unknownField: 'FailedToParse', belowMinimum: 'BadValue' }],
  ['count', { wrongType: 'BadValue', unknownField: 40415, belowMinimum: 'BadValue' }],
]);

/** Reads the fields of a command, with MongoDB's errors for a value of the wrong type. */
export class Arguments {
  constructor(
    readonly command: Document,
    /** The name of the command in errors, such as `find` or `update.updates`. */
    readonly name: string,
  ) {}

  /** Whether the field is present and not null. */
  has(field: string): boolean {
    return this.#value(field) !== undefined;
  }

  any(field: string): Value | undefined {
    return this.#value(field);
  }

  document(field: string): Document | undefined {
    const value = this.#value(field);
    if (value === undefined || value instanceof Map) return value;
    throw this.#wrongType(field, value, 'object');
  }

  requiredDocument(field: string): Document {
    return this.document(field) ?? this.#missing(field);
  }

  string(field: string): string | undefined {
    const value = this.#value(field);
    if (value === undefined || typeof value === 'string') return value;
    throw this.#wrongType(field, value, 'string');
  }

  requiredString(field: string): string {
    return this.string(field) ?? this.#missing(field);
  }

  array(field: string): Value[] | undefined {
    const value = this.#value(field);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.#wrongType(field, value, 'array');
  }

  requiredArray(field: string): Value[] {
    return this.array(field) ?? this.#missing(field);
  }

  /** An array field whose elements must all be documents. */
  documents(field: string): Document[] | undefined {
    return this.array(field)?.map((element, position) => {
      if (element instanceof Map) return element;
      throw this.#wrongType(`${field}.${position}`, element, 'object');
    });
  }

  /** A boolean; numbers count as MongoDB's "safe bool" does. */
  boolean(field: string, fallback = false): boolean {
    const value = this.#value(field);
    if (value === undefined) return fallback;
    if (typeof value === 'boolean') return value;
    const number = numberOf(value);
    if (number !== undefined) return number !== 0;
    throw this.#wrongType(field, value, 'bool');
  }

  /** A whole number within `±2^53`, rounded towards zero; undefined when missing. */
  integer(field: string, minimum = Number.MIN_SAFE_INTEGER): number | undefined {
    const value = this.#value(field);
    if (value === undefined) return undefined;
    const number = numberOf(value);
    if (number === undefined) throw this.#wrongType(field, value, 'number');
    const whole = Math.trunc(number);
    if (!Number.isFinite(number) || whole < minimum) {
      const outside = field === 'maxTimeMS' || whole >= minimum || Number.isNaN(number);
      throw new StoreError(
        outside ? 'BadValue' : this.#codes.belowMinimum,
        `BSON field '${this.name}.${field}' value must be >= ${minimum}, actual value '${number}'`,
      );
    }
    return whole;
  }

  /** Refuses fields that the command does not know, as MongoDB's parser does. */
  allow(fields: ReadonlySet<string>): void {
    for (const field of this.command.keys()) {
      if (!fields.has(field) && !GENERIC_FIELDS.has(field)) {
        throw new StoreError(
          this.#codes.unknownField,
          `BSON field '${this.name}.${field}' is an unknown field.`,
        );
      }
    }
  }

  get #codes(): ArgumentCodes {
    return OLDER_CODES.get(this.name) ?? CODES;
  }

  #value(field: string): Value | undefined {
    return this.command.get(field) ?? undefined;
  }

  #missing(field: string): never {
    throw new StoreError(40414, `BSON field '${this.name}.${field}' is missing but a required field`);
  }

  #wrongType(field: string, value: Value, expected: string): StoreError {
    return new StoreError(
      this.#codes.wrongType,
      `BSON field '${this.name}.${field}' is the wrong type '${typeName(value)}', expected type '${expected}'`,
    );
  }
}

/** Fields that every command takes. */
const GENERIC_FIELDS = new Set([
  '$db',
  'lsid',
  'txnNumber',
  'autocommit',
  'startTransaction',
  'stmtId',
  'stmtIds',
  'readConcern',
  'writeConcern',
  'maxTimeMS',
  'comment',
  '$readPreference',
  '$clusterTime',
  'apiVersion',
  'apiStrict',
  'apiDeprecationErrors',
  '$audit',
  '$client',
  '$configServerState',
  'mayBypassWriteBlocking',
  'allowImplicitCollectionCreation',
  'databaseVersion',
  'shardVersion',
  'help',
]);

/** A number of any BSON type as a JavaScript number; undefined for anything else. */
export function numberOf(value: Value | undefined): number | undefined {
  const whole = integral(value);
  if (whole !== undefined) return Number(whole);
  if (typeof value === 'object' && value !== null && '_bsontype' in value) {
    if (value._bsontype === 'Double') return value.value;
    if (value._bsontype === 'Decimal128') return Number(value.toString());
  }
  return undefined;
}
