import { compareValues, typeOrder } from '../../bson/compare';
import { isNumber, toNumber } from '../../bson/numbers';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { bucketFields, checkGroupBy } from '../bucketing';
import { compileExpression } from '../expression';
import { MemoryMeter } from '../memory';
import { type Group, type GroupFields, addToGroup, groupDocument, newGroup } from '../grouping';
import { type PipelineContext, type Stage, type StageTable, specDocument, stageExpression } from '../stage';

/** The value of an expression that must be constant. */
function constant(expression: Value, context: PipelineContext, code: number, message: string): Value {
  const uses = { fields: new Set<string>(), whole: false };
  const value = compileExpression(expression, { ...context, uses })(new Map()) ?? null;
  if (uses.whole || uses.fields.size > 0) throw new StoreError(code, message);
  return value;
}

function readBoundaries(given: Value, context: PipelineContext): Value[] {
  if (!Array.isArray(given)) {
    throw new StoreError(
      40200,
      `The $bucket 'boundaries' field must be an array, but found type: ${typeOf(given)}.`,
    );
  }
  const boundaries = given.map((item) =>
    constant(item, context, 40191, "The $bucket 'boundaries' field must be an array of constant values."),
  );
  if (boundaries.length < 2) {
    throw new StoreError(
      40192,
      `The $bucket 'boundaries' field must have at least 2 values, but found ${boundaries.length} value(s).`,
    );
  }
  boundaries.slice(1).forEach((upper, i) => {
    const lower = boundaries[i] as Value;
    if (typeOrder(lower) !== typeOrder(upper)) {
      throw new StoreError(
        40193,
        "All values in the the 'boundaries' option to $bucket must have the same type.",
      );
    }
    if (compareValues(lower, upper, context.collator) >= 0) {
      throw new StoreError(40194, "The 'boundaries' option to $bucket must be sorted.");
    }
  });
  return boundaries;
}

function bucket(spec: Value, context: PipelineContext, name: string): Stage {
  const given = specDocument(
    spec,
    40201,
    `Argument to $bucket stage must be an object, but found type: ${typeOf(spec)}.`,
  );
  for (const key of given.keys()) {
    if (!['groupBy', 'boundaries', 'default', 'output'].includes(key)) {
      throw new StoreError(40197, `Unrecognized option to $bucket: ${key}.`);
    }
  }
  const list = given.get('boundaries');
  if (!given.has('groupBy') || list === undefined) {
    throw new StoreError(40198, "$bucket requires 'groupBy' and 'boundaries' to be specified.");
  }
  const by = stageExpression(checkGroupBy(given.get('groupBy'), 40202, name), context);
  const boundaries = readBoundaries(list, context);
  const otherwise = given.get('default');
  const fallback =
    otherwise === undefined
      ? undefined
      : constant(otherwise, context, 40195, "The $bucket 'default' field must be a constant expression.");
  checkDefault(fallback, boundaries, context);
  const fields = bucketFields(given.get('output'), context, 40196, name);
  const keyOf = (value: Value | undefined): Value => {
    const at = boundaries.findIndex((boundary) => compareValues(value, boundary, context.collator) < 0);
    if (at > 0) return boundaries[at - 1] as Value;
    if (fallback !== undefined) return fallback;
    throw new StoreError(
      40066,
      '$switch could not find a matching branch for an input, and no default was specified.',
    );
  };
  return {
    name,
    exhaustive: true,
    *run(source) {
      const groups = new Map<Value, Group>();
      const memory = new MemoryMeter(name, context.allowDiskUse);
      for (const document of source) {
        if (document === undefined) {
          yield undefined;
          continue;
        }
        const key = keyOf(by(document));
        const group = groups.get(key) ?? newGroup(key, fields, memory);
        groups.set(key, group);
        addToGroup(group, document);
      }
      const sorted = [...groups.values()].sort((a, b) => compareValues(a.key, b.key, context.collator));
      for (const group of sorted) yield groupDocument(group, fields);
    },
  };
}

function checkDefault(fallback: Value | undefined, boundaries: Value[], { collator }: PipelineContext): void {
  const [lowest] = boundaries;
  if (fallback === undefined || typeOrder(fallback) !== typeOrder(lowest)) return;
  if (compareValues(fallback, lowest, collator) < 0) return;
  if (compareValues(fallback, boundaries.at(-1), collator) >= 0) return;
  throw new StoreError(
    40199,
    "The $bucket 'default' field must be less than the lowest boundary or greater than or equal to the highest boundary.",
  );
}

interface Keyed {
  key: Value;
  document: Document;
}

function bucketAuto(spec: Value, context: PipelineContext, name: string): Stage {
  const given = specDocument(
    spec,
    40240,
    `The argument to $bucketAuto must be an object, but found type: ${typeOf(spec)}.`,
  );
  for (const key of given.keys()) {
    if (!['groupBy', 'buckets', 'output', 'granularity'].includes(key)) {
      throw new StoreError(40245, `Unrecognized option to $bucketAuto: ${key}.`);
    }
  }
  if (!given.has('groupBy') || !given.has('buckets')) {
    throw new StoreError(40246, "$bucketAuto requires 'groupBy' and 'buckets' to be specified.");
  }
  if (given.has('granularity')) {
    throw new StoreError('CommandNotSupported', "$bucketAuto with 'granularity' is not supported");
  }
  const by = stageExpression(checkGroupBy(given.get('groupBy'), 40239, name), context);
  const wanted = given.get('buckets');
  if (!isNumber(wanted)) {
    throw new StoreError(
      40241,
      `The $bucketAuto 'buckets' field must be a numeric value, but found type: ${typeOf(wanted)}.`,
    );
  }
  const count = toNumber(wanted);
  if (!Number.isInteger(count) || count > 0x7fffffff) {
    throw new StoreError(40242, "The $bucketAuto 'buckets' field must be representable as a 32-bit integer");
  }
  if (count <= 0) {
    throw new StoreError(
      40243,
      `The $bucketAuto 'buckets' field must be greater than 0, but found: ${count}.`,
    );
  }
  const fields = bucketFields(given.get('output'), context, 40244, name);
  return {
    name,
    exhaustive: true,
    *run(source) {
      const keyed: Keyed[] = [];
      const memory = new MemoryMeter(name, context.allowDiskUse);
      for (const document of source) {
        if (document === undefined) {
          yield undefined;
          continue;
        }
        memory.keep(document);
        keyed.push({ key: by(document) ?? null, document });
      }
      keyed.sort((a, b) => compareValues(a.key, b.key, context.collator));
      yield* buckets(keyed, count, fields, memory, context);
    },
  };
}

/** Buckets of about equal size; documents with equal keys stay together. */
function* buckets(
  keyed: readonly Keyed[],
  count: number,
  fields: GroupFields,
  memory: MemoryMeter,
  { collator }: PipelineContext,
): Generator<Document> {
  const size = Math.max(1, Math.round(keyed.length / count));
  let start = 0;
  for (let number = 1; number <= count && start < keyed.length; number++) {
    let end = number === count ? keyed.length : Math.min(keyed.length, start + size);
    while (end < keyed.length && compareValues(keyed[end]?.key, keyed[end - 1]?.key, collator) === 0) end++;
    const group = newGroup(null, fields, memory);
    for (const { document } of keyed.slice(start, end)) addToGroup(group, document);
    const min = keyed[start]?.key as Value;
    const max = (keyed[end] ?? keyed[end - 1])?.key as Value;
    group.key = new Map<string, Value>([
      ['min', min],
      ['max', max],
    ]);
    yield groupDocument(group, fields);
    start = end;
  }
}

/** A random choice of documents. */
function sample(spec: Value, _context: PipelineContext, name: string): Stage {
  const given = specDocument(spec, 28745, 'the $sample stage specification must be an object');
  for (const key of given.keys()) {
    if (key !== 'size') throw new StoreError(28748, `unrecognized option to $sample: ${key}`);
  }
  const wanted = given.get('size');
  if (wanted === undefined) throw new StoreError(28749, '$sample stage must specify a size');
  if (!isNumber(wanted)) throw new StoreError(28746, 'size argument to $sample must be a number');
  const size = Math.trunc(toNumber(wanted));
  if (!(size >= 0)) throw new StoreError(28747, 'size argument to $sample must not be negative');
  return {
    name,
    *run(source) {
      // Reservoir sampling: each document is equally likely to be among the chosen, in one pass.
      const chosen: Document[] = [];
      let seen = 0;
      for (const document of source) {
        if (document === undefined) {
          yield undefined;
          continue;
        }
        const at = seen < size ? seen : Math.floor(Math.random() * (seen + 1));
        if (at < size) chosen[at] = document;
        seen++;
      }
      for (let i = chosen.length - 1; i > 0; i--) {
        const other = Math.floor(Math.random() * (i + 1));
        [chosen[i], chosen[other]] = [chosen[other] as Document, chosen[i] as Document];
      }
      yield* chosen;
    },
  };
}

/** $bucket, $bucketAuto and $sample. */
export const BUCKET_STAGES: StageTable = { $bucket: bucket, $bucketAuto: bucketAuto, $sample: sample };
