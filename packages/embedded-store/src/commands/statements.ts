import { Int32 } from 'bson';
import { fromPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { WriteSteps } from '../storage/writer';
import type { CommandContext } from './command';
import type { WriteScope } from './write-scope';

/**
 * Runs the statements of a write command in order. Errors of single statements are reported together with the
 * results of the others; errors that concern a whole transaction are thrown.
 * @param report records the error of a statement.
 */
export function* runStatements<S>(
  scope: WriteScope,
  context: CommandContext,
  statements: readonly S[],
  run: (statement: S, index: number) => WriteSteps<void>,
  report: (error: StoreError, index: number) => void = (error, index) => {
    scope.progress.errors.push(describeError(error, index));
  },
): WriteSteps<void> {
  const { progress } = scope;
  const continuesAfterError = !context.args.boolean('ordered', true) && !context.transaction;
  while (progress.next < statements.length) {
    const index = progress.next;
    try {
      yield* run(statements[index] as S, index);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (context.transaction && error.details.labels) throw error;
      report(error, index);
      if (!continuesAfterError) break;
    }
    progress.next++;
    if (scope.timeSliceIsOver() && progress.next < statements.length) yield undefined;
  }
}

function describeError(error: StoreError, index: number): Document {
  return new Map<string, Value>([['index', new Int32(index)], ...errorFields(error)]);
}

/** The fields that describe the error of a statement. */
export function errorFields({ code, message, details }: StoreError): [string, Value][] {
  return [
    ['code', new Int32(code)],
    ['errmsg', message],
    ...Object.entries(details.extra ?? {}).map(([name, value]): [string, Value] => [name, fromPlain(value)]),
  ];
}

/** The reply of a write command. */
export function writeReply({ progress }: WriteScope, isUpdate: boolean): Document {
  const reply: Document = new Map<string, Value>([['n', new Int32(progress.matched)]]);
  if (isUpdate) reply.set('nModified', new Int32(progress.modified));
  if (progress.upserted.length > 0) reply.set('upserted', progress.upserted);
  if (progress.errors.length > 0) reply.set('writeErrors', progress.errors);
  return reply;
}
