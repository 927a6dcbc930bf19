import { Int32 } from 'bson';
import { hostname } from 'node:os';
import { isNumber, toNumber } from '../../bson/numbers';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { type Access, type PipelineContext, type Stage, type StageTable, specDocument } from '../stage';

type Part = (argument: Document, access: Access) => Value;

function statisticsOf(access: Access, scale: number): Document {
  const statistics = access.statistics?.(scale);
  if (statistics) return statistics;
  throw new StoreError('CommandNotSupported', '$collStats is not supported here');
}

const PARTS: ReadonlyMap<string, Part> = new Map<string, Part>([
  ['storageStats', (argument, access) => split(statisticsOf(access, scaleOf(argument))).storage],
  ['count', (_argument, access) => split(statisticsOf(access, 1)).storage.get('count') ?? new Int32(0)],
]);

function scaleOf(argument: Document): number {
  const scale = argument.get('scale');
  if (scale === undefined) return 1;
  if (isNumber(scale) && toNumber(scale) >= 1) return Math.trunc(toNumber(scale));
  throw new StoreError('BadValue', 'scale has to be a number of at least 1');
}

/** The name of the collection, and its figures without it. */
function split(statistics: Document): { namespace: Value; storage: Document } {
  const storage = new Map(statistics);
  const namespace = storage.get('ns') ?? null;
  storage.delete('ns');
  return { namespace, storage };
}

/** https://www.mongodb.com/docs/manual/reference/operator/aggregation/collStats/ */
function collStats(spec: Value, context: PipelineContext, name: string): Stage {
  const given = specDocument(
    spec,
    'FailedToParse',
    `$collStats must take a nested object but found: ${typeOf(spec)}`,
  );
  const parts = [...given].map(([field, argument]) => {
    const part = PARTS.get(field);
    if (!part) throw new StoreError('CommandNotSupported', `$collStats option '${field}' is not supported`);
    if (argument instanceof Map) return { field, argument, part };
    throw new StoreError('TypeMismatch', `${field} argument must be an object, but got ${typeOf(argument)}`);
  });
  if (context.place !== 'top') {
    throw new StoreError('CommandNotSupported', '$collStats is only supported at the top of a pipeline');
  }
  return {
    name,
    *run(_source, access) {
      const { namespace } = split(statisticsOf(access, 1));
      const result: Document = new Map<string, Value>([
        ['ns', namespace],
        ['host', hostname()],
        ['localTime', context.now],
      ]);
      for (const { field, argument, part } of parts) result.set(field, part(argument, access));
      yield result;
    },
  };
}

/** https://www.mongodb.com/docs/manual/reference/operator/aggregation/currentOp/ */
function currentOp(spec: Value, _context: PipelineContext, name: string): Stage {
  specDocument(
    spec,
    'FailedToParse',
    `$currentOp options must be specified in an object, but found: ${typeOf(spec)}`,
  );
  return {
    name,
    *run(_source, access) {
      yield* access.operations?.() ?? [];
    },
  };
}

/** $collStats, $currentOp. */
export const STATISTICS_STAGES: StageTable = { $collStats: collStats, $currentOp: currentOp };
