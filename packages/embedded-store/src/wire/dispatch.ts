import { Binary, Double, Int32, Long, Timestamp } from 'bson';
import { decode, encode, fromPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { Arguments } from '../commands/arguments';
import { COMMANDS } from '../commands';
import type { Command, CommandContext, Reply } from '../commands/command';
import { checkConcerns, writeConcernError } from '../commands/concerns';
import { checkDatabaseName } from '../commands/namespaces';
import type { Engine } from '../engine';
import { StoreError } from '../errors';
import type { HeldSnapshot } from '../session/held-snapshot';
import type { Session } from '../session/sessions';
import { noSuchTransaction } from '../session/transaction';
import type { Transaction } from '../session/transaction';
import type { Connection, Handler } from './listener';
import type { Request } from './protocol';
import { extractDocuments } from './raw';

/** Array fields of commands whose documents are not decoded. */
const RAW_FIELDS: ReadonlyMap<string, string> = new Map([
  ['insert', 'documents'],
  ['bulkWrite', 'ops'],
]);

/** Reports an unexpected error; the client gets an internal error without details. */
export type Report = (error: unknown) => void;

/** Returns the function that handles requests: each is one command and always gets a reply. */
export function createHandler(engine: Engine, report: Report): Handler {
  return async (request, connection) => {
    let context: (CommandContext & { command: Command }) | undefined;
    try {
      context = readRequest(engine, request, connection);
      while (engine.structure) await engine.structure;
      context.held = heldSnapshot(context);
      return finish(await context.command.run(context), writeConcernError(context.args));
    } catch (error) {
      return encode(errorReply(error, report));
    } finally {
      if (context) engine.operations.end(context.operation);
    }
  };
}

function finish(answer: Reply, concernError: Document | undefined): Uint8Array {
  const reply = concernError && !(answer instanceof Map) ? decode(answer) : answer;
  if (!(reply instanceof Map)) return reply;
  if (concernError) reply.set('writeConcernError', concernError);
  if (!reply.has('ok')) reply.set('ok', new Double(1));
  return encode(reply);
}

/** The reply for an error. */
export function errorReply(error: unknown, report: Report): Document {
  const known = asStoreError(error, report);
  const reply: Document = new Map<string, Value>([
    ['ok', new Double(0)],
    ['errmsg', known.message],
    ['code', new Int32(known.code)],
    ['codeName', known.codeName],
  ]);
  for (const [name, value] of Object.entries(known.details.extra ?? {})) reply.set(name, fromPlain(value));
  if (known.details.labels) reply.set('errorLabels', known.details.labels);
  return reply;
}

/** The error for the client; an unexpected error is reported and hidden. */
function asStoreError(error: unknown, report: Report): StoreError {
  if (error instanceof StoreError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/ENOSPC|No space left|MDB_MAP_FULL|EDQUOT|EFBIG|File too large/i.test(message)) {
    return new StoreError('OutOfDiskSpace', `the write was undone: ${message}`);
  }
  report(error);
  return new StoreError('InternalError', 'internal error of the store; see its log');
}

function readRequest(
  engine: Engine,
  request: Request,
  connection: Connection,
): CommandContext & { command: Command } {
  const { body, documents } = readBody(request);
  const [name = ''] = body.keys();
  const found = COMMANDS.get(name);
  const database = request.database ?? body.get('$db');
  if (typeof database !== 'string') {
    throw new StoreError(40571, 'OP_MSG requests require a $db argument');
  }
  if (!found) throw new StoreError('CommandNotFound', `no such command: '${name}'`);
  checkDatabaseName(database);
  if (found.adminOnly && database !== 'admin') {
    throw new StoreError('Unauthorized', `${name} may only be run against the admin database.`);
  }
  const args = new Arguments(body, name);
  const sequences = documents ? new Map([...request.sequences, documents]) : request.sequences;
  const maxTime = args.integer('maxTimeMS', 0);
  checkConcerns(args);
  const sessionState = readSession(engine, args, found, name, connection);
  return {
    engine,
    database,
    args,
    sequences,
    connection,
    operation: engine.operations.start(
      name,
      database,
      connection,
      maxTime ? performance.now() + maxTime : undefined,
    ),
    command: found,
    held: undefined,
    ...sessionState,
  };
}

function readBody(request: Request): { body: Document; documents?: [string, Buffer[]] } {
  const { body } = request;
  const nameEnd = body.indexOf(0, 5);
  const field = RAW_FIELDS.get(body.toString('latin1', 5, nameEnd));
  const taken = field === undefined ? undefined : extractDocuments(body, field);
  if (field === undefined || !taken) return { body: decode(body) };
  return { body: decode(taken.rest), documents: [field, taken.documents] };
}

/**
 * The snapshot for a read with `readConcern: "snapshot"` outside of transactions. The first such read of a session makes it
 * hold a new one; later reads name its time.
 * @throws StoreError SnapshotTooOld, SnapshotUnavailable
 */
function heldSnapshot({
  engine,
  args,
  session,
  transaction,
  connection,
  command,
}: CommandContext & { command: Command }): HeldSnapshot | undefined {
  const concern = command.readsSnapshots && !transaction ? args.document('readConcern') : undefined;
  if (!session || concern?.get('level') !== 'snapshot') return undefined;
  const time = concern.get('atClusterTime');
  const held =
    time instanceof Timestamp
      ? session.heldAt(time.toBigInt())
      : session.hold(engine.heldSnapshots.hold(engine.environment.snapshot(), engine.catalog.version));
  held.usedOn(connection);
  return held;
}

interface SessionState {
  session: Session | undefined;
  transaction: Transaction | undefined;
  txnNumber: bigint | undefined;
}

function readSession(
  engine: Engine,
  args: Arguments,
  command: Command,
  name: string,
  connection: Connection,
): SessionState {
  const lsid = args.document('lsid');
  if (!lsid) return { session: undefined, transaction: undefined, txnNumber: undefined };
  const session = engine.sessions.get(sessionId(lsid));
  const number = args.any('txnNumber');
  const txnNumber = number instanceof Long ? number.toBigInt() : undefined;
  if (args.any('autocommit') === undefined || txnNumber === undefined) {
    return { session, transaction: undefined, txnNumber };
  }
  if (name === 'commitTransaction' || name === 'abortTransaction') {
    return { session, transaction: undefined, txnNumber };
  }
  const transaction = joinTransaction(engine, session, args, txnNumber);
  session.usedOn(connection);
  if (!command.inTransaction) {
    transaction.abort();
    throw new StoreError(
      'OperationNotSupportedInTransaction',
      `Cannot run '${name}' in a multi-document transaction.`,
      { labels: ['TransientTransactionError'] },
    );
  }
  return { session, transaction, txnNumber: undefined };
}

/** The key of a session in the store, from the UUID of an `lsid`. */
export function sessionId(lsid: Document): string {
  const id = lsid.get('id');
  if (!(id instanceof Binary)) {
    throw new StoreError(40414, "BSON field 'OperationSessionInfo.lsid.id' is missing but a required field");
  }
  return Buffer.from(id.value()).toString('hex');
}

function joinTransaction(engine: Engine, session: Session, args: Arguments, txnNumber: bigint): Transaction {
  if (!args.boolean('startTransaction')) {
    if (txnNumber < session.txnNumber) throw tooOld(session, txnNumber);
    return session.open(txnNumber);
  }
  const last = session.last(txnNumber);
  if (txnNumber < session.txnNumber) throw tooOld(session, txnNumber);
  if (last) {
    throw new StoreError(
      50911,
      `Cannot start a transaction at given transaction number ${txnNumber} a transaction with the same number is in state ${last.state}`,
    );
  }
  const transaction = engine.beginTransaction();
  session.begin(txnNumber, transaction);
  return transaction;
}

function tooOld(session: Session, txnNumber: bigint): StoreError {
  return txnNumber === session.txnNumber
    ? noSuchTransaction(txnNumber)
    : new StoreError(
        'TransactionTooOld',
        `Cannot start transaction ${txnNumber} on session ${session.id} because a newer transaction ${session.txnNumber} has already started.`,
      );
}
