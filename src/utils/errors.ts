/**
 * The error catalogue: every error code of Parley and its HTTP status. REST answers and socket acknowledgements use the
 * same codes. Codes are stable, so clients may depend on them; messages may change.
 */
export const ERROR_STATUS = {
  validation_failed: 400,
  malformed_json: 400,
  bad_request: 400,
  password_too_common: 400,
  one_time_token_invalid: 400,
  client_outdated: 400,
  unauthenticated: 401,
  token_invalid: 401,
  token_expired: 401,
  session_revoked: 401,
  ticket_invalid: 401,
  ticket_expired: 401,
  invalid_credentials: 401,
  refresh_token_invalid: 401,
  refresh_token_reused: 401,
  totp_required: 401,
  totp_invalid: 401,
  password_wrong: 401,
  forbidden: 403,
  not_a_member: 403,
  account_suspended: 403,
  account_banned: 403,
  banned: 403,
  approval_required: 403,
  muted: 403,
  announcement_only: 403,
  direct_messages_closed: 403,
  consent_required: 403,
  last_super_admin: 409,
  not_found: 404,
  route_not_found: 404,
  invite_invalid: 404,
  unknown_event: 404,
  call_ended: 409,
  call_answered: 409,
  call_full: 409,
  already_in_call: 409,
  answered_elsewhere: 409,
  not_ringing: 409,
  not_in_call: 409,
  username_taken: 409,
  display_name_taken: 409,
  email_taken: 409,
  email_missing: 409,
  group_name_taken: 409,
  channel_name_taken: 409,
  last_owner: 409,
  member_already: 409,
  group_open: 409,
  message_deleted: 409,
  too_many_reactions: 409,
  too_many_pins: 409,
  too_many_bookmarks: 409,
  receipts_unavailable: 409,
  report_claimed: 409,
  report_not_claimed: 409,
  report_resolved: 409,
  group_archived: 409,
  channel_archived: 409,
  direct_channel: 409,
  being_sent: 409,
  attachment_used: 409,
  quota_exceeded: 409,
  too_many_scheduled: 409,
  too_many_drafts: 409,
  too_many_people: 409,
  channels_changed: 409,
  totp_already_enabled: 409,
  totp_not_enabled: 409,
  idempotency_in_progress: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  client_message_id_reused: 422,
  idempotency_key_reused: 422,
  image_invalid: 422,
  image_too_large: 422,
  rate_limited: 429,
  too_many_connections: 429,
  slow_mode: 429,
  internal_error: 500,
  unavailable: 503,
  maintenance: 503,
  mail_unavailable: 503,
  totp_unavailable: 503,
  storage_full: 507,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** The part of an error that its caller may see. */
export interface PublicError {
  code: ErrorCode;
  message: string;
  details?: unknown;
  /** Whole seconds, at least 1, after which to try again; missing where trying again does not help. */
  retryAfter?: number;
}

/** The codes that are answered with 429. */
type TooMany = {
  [Code in ErrorCode]: (typeof ERROR_STATUS)[Code] extends 429 ? Code : never;
}[ErrorCode];

/** The default `retryAfter` of temporary errors, in seconds. Each code of status 429 must have one. */
const RETRY_AFTER: Partial<Record<ErrorCode, number>> & Record<TooMany, number> = {
  idempotency_in_progress: 1,
  rate_limited: 60,
  too_many_connections: 10,
  slow_mode: 1,
  unavailable: 5,
  maintenance: 60,
};

/** An error that its caller may see. Anything else that is thrown becomes `internal_error`. */
export class AppError extends Error {
  /** As in `PublicError`. REST answers, acknowledgements and refused handshakes all carry it. */
  readonly retryAfter?: number;

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details?: unknown,
    retryAfter: number | undefined = RETRY_AFTER[code],
  ) {
    super(message);
    this.name = 'AppError';
    if (retryAfter !== undefined) this.retryAfter = Math.max(1, Math.ceil(retryAfter));
  }
}

/** The names of the driver's errors for an unreachable database. */
const DATABASE_UNREACHABLE = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoServerSelectionError',
  'MongoPoolClearedError',
  'MongoNotConnectedError',
  'MongoTopologyClosedError',
]);

const databaseUnreachable = () => new AppError('unavailable', 'The database cannot be reached. Try again.');

/**
 * Returns the part of an error that a caller may see. An error that is not an `AppError` shows nothing of itself: the
 * caller of this function logs it.
 */
export function toPublicError(error: unknown): PublicError {
  if (error instanceof AppError) {
    const { code, message, details, retryAfter } = error;
    return {
      code,
      message,
      ...(details !== undefined && { details }),
      ...(retryAfter !== undefined && { retryAfter }),
    };
  }
  return isDatabaseUnreachable(error)
    ? toPublicError(databaseUnreachable())
    : { code: 'internal_error', message: 'Something went wrong on the server.' };
}

/** Returns the HTTP status of the answer to an error. */
export function statusOf(error: unknown): number {
  return ERROR_STATUS[toPublicError(error).code];
}

function isDatabaseUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // The error of a bulk write contains the one for which it could not be sent.
  const { errorResponse } = error as { errorResponse?: unknown };
  return DATABASE_UNREACHABLE.has(error.name) || isDatabaseUnreachable(errorResponse);
}

/** The error for an unknown name and for a wrong password alike. */
export function invalidCredentials(): AppError {
  return new AppError('invalid_credentials', 'The name or the password is wrong.');
}
