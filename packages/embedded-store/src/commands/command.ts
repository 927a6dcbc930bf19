import type { Document } from '../bson/types';
import type { Operation } from '../session/operations';
import type { HeldSnapshot } from '../session/held-snapshot';
import type { Session } from '../session/sessions';
import type { Transaction } from '../session/transaction';
import type { Engine } from '../engine';
import type { Connection } from '../wire/listener';
import type { Arguments } from './arguments';

/** The input of a command. */
export interface CommandContext {
  engine: Engine;
  database: string;
  args: Arguments;
  /** Documents in other sections of the message, by field name. */
  sequences: ReadonlyMap<string, Uint8Array[]>;
  connection: Connection;
  session: Session | undefined;
  /** The open multi-document transaction that the command is part of. */
  transaction: Transaction | undefined;
  /** The snapshot that the session holds and the command reads from, outside of transactions. */
  held: HeldSnapshot | undefined;
  /** The number of a retryable write, outside of transactions. */
  txnNumber: bigint | undefined;
  /** The running command, which may be killed. */
  operation: Operation;
}

/** A reply without `ok`, which the dispatcher adds, or a finished BSON document. */
export type Reply = Document | Uint8Array;

/** One command. */
export interface Command {
  /** Allowed in a multi-document transaction. */
  inTransaction?: boolean;
  /** Reads from one snapshot with `readConcern: "snapshot"` outside of transactions, and returns its time. */
  readsSnapshots?: boolean;
  /** Only on the `admin` database. */
  adminOnly?: boolean;
  run(context: CommandContext): Reply | Promise<Reply>;
}
