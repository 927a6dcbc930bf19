import { Int32 } from 'bson';
import { isNumber, toNumber } from '../bson/numbers';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { Arguments } from './arguments';

const WRITE_CONCERN_FIELDS = new Set(['w', 'j', 'wtimeout', 'fsync', 'provenance']);
const READ_CONCERN_FIELDS = new Set(['level', 'afterClusterTime', 'atClusterTime', 'provenance']);
const LEVELS = new Set(['local', 'available', 'majority', 'linearizable', 'snapshot']);
/** The numbers of members that MongoDB accepts in a write concern. */
const MAX_MEMBERS = 50;

/**
 * Checks the read and write concern of a command. One node always provides its strongest guarantees: a write is on
 * disk before it is acknowledged, and reads see only such writes.
 *
 * @throws StoreError FailedToParse, TypeMismatch, BadValue
 * @see https://www.mongodb.com/docs/manual/reference/write-concern/
 */
export function checkConcerns(args: Arguments): void {
  const write = args.document('writeConcern');
  if (write) {
    refuseUnknown(write, WRITE_CONCERN_FIELDS, 'write concern');
    checkMembers(write.get('w'));
  }
  const read = args.document('readConcern');
  if (!read) return;
  refuseUnknown(read, READ_CONCERN_FIELDS, 'read concern');
  const level = new Arguments(read, 'readConcern').string('level');
  if (level !== undefined && !LEVELS.has(level)) {
    throw new StoreError('FailedToParse', `unrecognized read concern level: ${level}`);
  }
}

/** The write concern error in the reply of a write whose write concern requires more than one node. */
export function writeConcernError(args: Arguments): Document | undefined {
  const w = args.document('writeConcern')?.get('w');
  if (isNumber(w) && toNumber(w) > 1) {
    return describeError(100, 'CannotSatisfyWriteConcern', 'Not enough data-bearing nodes');
  }
  if (typeof w !== 'string' || w === 'majority') return undefined;
  return describeError(
    79,
    'UnknownReplWriteConcern',
    `No write concern mode named '${w}' found in replica set configuration`,
  );
}

function describeError(code: number, codeName: string, errmsg: string): Document {
  return new Map<string, Value>([
    ['code', new Int32(code)],
    ['codeName', codeName],
    ['errmsg', errmsg],
  ]);
}

function refuseUnknown(concern: Document, fields: ReadonlySet<string>, kind: string): void {
  for (const field of concern.keys()) {
    if (!fields.has(field)) throw new StoreError('FailedToParse', `unrecognized ${kind} field: ${field}`);
  }
}

function checkMembers(w: Value | undefined): void {
  if (w === undefined || typeof w === 'string' || w instanceof Map) return;
  if (!isNumber(w)) throw new StoreError('FailedToParse', 'w has to be a number, string, or object');
  const members = toNumber(w);
  if (members >= 0 && members <= MAX_MEMBERS) return;
  throw new StoreError('FailedToParse', 'w has to be a non-negative number and not greater than 50');
}
