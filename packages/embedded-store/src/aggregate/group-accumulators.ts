import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { ACCUMULATORS, type AccumulatorFactory } from './accumulators';
import { int32 } from './arguments';
import type { Expression } from './expression';
import { parsePath } from './field-path';
import type { MemoryMeter } from './memory';
import { isDocument } from './scope';
import { valueOrder } from './sort-array';
import type { PipelineContext } from './stage';
import { stageExpression } from './stage';

const ONE = new Int32(1);

/** Accumulates one output field of one group, document by document. */
export interface GroupAccumulator {
  add(document: Document): void;
  result(): Value | undefined;
}

/** A compiled output field of $group: makes an accumulator for each new group. */
export type GroupField = (groupKey: Value, memory?: MemoryMeter) => GroupAccumulator;

/** Compiles `{ $sum: … }` of a $group, $bucket or $setWindowFields output field. */
export function compileGroupField(field: string, spec: Value, context: PipelineContext): GroupField {
  if (!isDocument(spec)) {
    throw new StoreError(40234, `The field '${field}' must be an accumulator object`);
  }
  if (spec.size !== 1) throw new StoreError(40238, `The field '${field}' must specify one accumulator`);
  const [[name, argument]] = [...spec] as [[string, Value]];
  const special = SPECIAL[name];
  if (special !== undefined) return special(argument, context, name);
  const create = ACCUMULATORS[name];
  if (create === undefined) throw new StoreError(15952, `unknown group operator '${name}'`);
  return simple(create, argument, context, name);
}

function simple(
  create: AccumulatorFactory,
  argument: Value,
  context: PipelineContext,
  name: string,
): GroupField {
  let input = argument;
  if (Array.isArray(argument)) {
    if (argument.length !== 1) throw new StoreError(40237, `The ${name} accumulator is a unary operator`);
    [input] = argument as [Value];
  }
  const compute = stageExpression(input, context);
  return (_key, memory) => {
    const accumulator = create(context.collator, memory);
    return { add: (document) => accumulator.add(compute(document)), result: () => accumulator.result() };
  };
}

type SpecialCompiler = (argument: Value, context: PipelineContext, name: string) => GroupField;

const SPECIAL: Readonly<Record<string, SpecialCompiler>> = {
  $count(argument, context) {
    if (!isDocument(argument) || argument.size > 0) {
      throw new StoreError('TypeMismatch', '$count takes no arguments, i.e. $count:{}');
    }
    const sum = ACCUMULATORS['$sum'] as AccumulatorFactory;
    return simple(sum, ONE, context, '$sum');
  },
  $firstN: listN((list, n) => list.slice(0, n), true),
  $lastN: listN((list, n) => list.slice(-n), false),
  $maxN: ordered(-1),
  $minN: ordered(1),
  $top: ranked(false, 1),
  $topN: ranked(true, 1),
  $bottom: ranked(false, -1),
  $bottomN: ranked(true, -1),
};

function namedArguments(argument: Value, name: string, names: readonly string[]): Document {
  if (!isDocument(argument)) throw new StoreError(5787801, `specification must be an object; found ${name}`);
  for (const key of argument.keys()) {
    if (!names.includes(key)) throw new StoreError(5787901, `Unknown argument to ${name}: ${key}`);
  }
  for (const key of names) {
    if (!argument.has(key)) throw new StoreError(5787906, `Missing value for '${key}' in ${name}`);
  }
  return argument;
}

/** The `n` of a group: it may depend on the group's key only. */
function countFor(expression: Expression, key: Value, name: string): number {
  const count = int32(
    expression(isDocument(key) ? key : new Map<string, Value>()),
    5787902,
    `'n' for ${name}`,
  );
  if (count <= 0) throw new StoreError(5787908, `'n' must be greater than 0, found ${count} for ${name}`);
  return count;
}

function listN(take: (list: Value[], n: number) => Value[], fromStart: boolean): SpecialCompiler {
  return (argument, context, name) => {
    const given = namedArguments(argument, name, ['input', 'n']);
    const input = stageExpression(given.get('input') as Value, context);
    const n = stageExpression(given.get('n') as Value, context);
    return (key) => {
      const count = countFor(n, key, name);
      let list: Value[] = [];
      return {
        add(document) {
          if (fromStart && list.length >= count) return;
          list.push(input(document) ?? null);
          if (list.length > 2 * count) list = list.slice(-count);
        },
        result: () => take(list, count),
      };
    };
  };
}

function ordered(sign: number): SpecialCompiler {
  return (argument, context, name) => {
    const given = namedArguments(argument, name, ['input', 'n']);
    const input = stageExpression(given.get('input') as Value, context);
    const n = stageExpression(given.get('n') as Value, context);
    const compare = ascending(context, sign);
    return (key) => {
      const best = new Best<Value>(countFor(n, key, name), compare);
      return {
        add(document) {
          const value = input(document);
          if (value !== undefined && value !== null) best.add(value);
        },
        result: () => best.values(),
      };
    };
  };
}

function ascending(context: PipelineContext, sign: number): (a: Value, b: Value) => number {
  const compare = valueOrder(ONE, context.collator);
  return (a, b) => sign * compare(a, b);
}

function ranked(many: boolean, sign: number): SpecialCompiler {
  return (argument, context, name) => {
    const given = namedArguments(argument, name, many ? ['sortBy', 'output', 'n'] : ['sortBy', 'output']);
    const sortBy = given.get('sortBy') as Value;
    if (!isDocument(sortBy)) throw new StoreError(5788604, `'sortBy' for ${name} must be an object`);
    for (const path of sortBy.keys()) context.uses.fields.add(parsePath(path)[0] as string);
    const order = valueOrder(sortBy, context.collator);
    const output = stageExpression(given.get('output') as Value, context);
    const n = many ? stageExpression(given.get('n') as Value, context) : undefined;
    return (key) => {
      const count = n === undefined ? 1 : countFor(n, key, name);
      // $bottom keeps the last in order, the later one of equal ones, and returns them in ascending order.
      const best = new Best<{ document: Document; value: Value; at: number }>(
        count,
        (a, b) => sign * (order(a.document, b.document) || a.at - b.at),
      );
      let at = 0;
      return {
        add: (document) => best.add({ document, value: output(document) ?? null, at: at++ }),
        result() {
          const found = best.values().map(({ value }) => value);
          if (sign < 0) found.reverse();
          return many ? found : found[0];
        },
      };
    };
  };
}

/** Keeps the first `count` values in the order of `compare`, in bounded memory. */
class Best<T> {
  private list: T[] = [];

  constructor(
    private readonly count: number,
    private readonly compare: (a: T, b: T) => number,
  ) {}

  add(item: T): void {
    this.list.push(item);
    if (this.list.length >= 2 * this.count + 16) this.list = this.values();
  }

  values(): T[] {
    return this.list.toSorted(this.compare).slice(0, this.count);
  }
}
