import { EJSON } from 'bson';
import { toPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { StoreError } from '../src/errors';
import type { CompiledIndex, IndexDefinition } from '../src/index/keys';
import { planQuery, type Plan } from '../src/index/planner';
import { compileFilter } from '../src/query/matcher';
import { compileCollation } from '../src/query/collation';
import { compileSort } from '../src/query/sort';
import { TIMEOUT_MS, rounds, SEED } from '../../../tools/jest/budget';
import { MemoryIndex, runPlan } from './support/memory-index';
import * as generate from './support/query-generator';
import { Random } from './support/random';

// By hand: FUZZ_SECONDS=600 npx jest index-fuzz

const show = (value: unknown): string => EJSON.stringify(value, { relaxed: false });

function* memoryIndexes(
  random: Random,
  taste: generate.Taste,
  documents: readonly Document[],
): Iterable<MemoryIndex> {
  for (let i = 0; i < 5; i++) {
    const definition: IndexDefinition = generate.index(random, taste, `i${i}`);
    try {
      yield new MemoryIndex(definition, documents);
    } catch (error) {
      // Parallel arrays, or a number that is a position here and a name there: MongoDB refuses the index too.
      if (!(error instanceof StoreError) || ![171, 16746].includes(error.code)) throw error;
    }
  }
}

/** One collection, some indexes, many queries: every plan gives what a look at every document gives. */
function round(random: Random, plans: Map<string, number>): void {
  const taste: generate.Taste = {
    arrays: random.pick([0, 0, 0.1, 0.3]),
    wild: random.pick([0, 0.3, 0.8]),
    long: random.pick([0, 0, 0.1]),
  };
  const documents = Array.from({ length: 30 }, () => generate.document(random, taste));
  const indexes = [...memoryIndexes(random, taste, documents)];
  for (let i = 0; i < 40; i++) {
    const filter = generate.filter(random, taste);
    const sort = random.chance(0.5) ? generate.sort(random) : undefined;
    const strength = new Map<string, string | number>([['locale', 'en']]);
    const collator = random.chance(0.1)
      ? compileCollation(new Map([...strength].map(([name, value]) => [name, value as string])))
      : undefined;
    const ci = random.chance(0.1)
      ? indexes.find((index) => index.compiled.collator)?.compiled.collator
      : undefined;
    check(random, { documents, indexes, filter, sort, collator: ci ?? collator }, plans);
  }
}

interface Trial {
  documents: readonly Document[];
  indexes: readonly MemoryIndex[];
  filter: Document;
  sort: Document | undefined;
  collator: ReturnType<typeof compileCollation>;
}

function check(random: Random, trial: Trial, plans: Map<string, number>): void {
  const { documents, indexes, filter, sort, collator } = trial;
  const compiled = compileFilter(filter, { collator });
  const wanted = [...documents.keys()].filter((i) => compiled.matches(documents[i] as Document));
  const usable: CompiledIndex[] = indexes.map((index) => index.compiled).filter(() => random.chance(0.7));
  const hinted = usable.length > 0 && random.chance(0.3) ? random.pick(usable) : undefined;
  // A hint takes a sparse index even where it lacks documents.
  const hint = hinted?.definition.sparse === true ? undefined : hinted?.definition.name;
  let plan: Plan;
  try {
    plan = planQuery({ filter, sort, indexes: usable, hint, collator });
  } catch (error) {
    if (error instanceof StoreError && error.code === 291) return;
    throw error;
  }
  plans.set(plan.stage, (plans.get(plan.stage) ?? 0) + 1);
  const reached = runPlan(plan, indexes, documents);
  const found =
    plan.stage !== 'EOF' && plan.residual
      ? reached.filter((i) => compiled.matches(documents[i] as Document))
      : reached;
  const problem =
    sorted(found).join() !== wanted.join()
      ? `found ${sorted(found).join()} instead of ${wanted.join()}`
      : disorder(found, trial, plan);
  if (problem === undefined) return;
  const index = plan.stage === 'IXSCAN' ? plan.index.definition : plan.stage;
  throw new Error(
    [
      problem,
      `filter ${show(toPlain(filter))}`,
      `sort ${sort === undefined ? '' : show(toPlain(sort))} collation ${collator === undefined ? '' : show(toPlain(collator.spec))}`,
      `index ${show(typeof index === 'string' ? index : { ...index, partialFilterExpression: toPlain(index.partialFilterExpression ?? null) })}`,
      `plan ${show({ ...plan, index: undefined, branches: undefined })}`,
      ...symmetricDifference(found, wanted).map(
        (i) => `document ${i}: ${show(toPlain(documents[i] as Document))}`,
      ),
    ].join('\n'),
  );
}

const sorted = (records: readonly number[]): number[] => [...records].sort((a, b) => a - b);

function symmetricDifference(a: readonly number[], b: readonly number[]): number[] {
  return [...a.filter((i) => !b.includes(i)), ...b.filter((i) => !a.includes(i))];
}

function disorder(
  found: readonly number[],
  { sort, documents, collator }: Trial,
  plan: Plan,
): string | undefined {
  if (sort === undefined || sort.size === 0 || !plan.providesSort) return undefined;
  const order = compileSort(sort, { collator });
  for (let i = 1; i < found.length; i++) {
    const [a, b] = [documents[found[i - 1] as number] as Document, documents[found[i] as number] as Document];
    if (order.compare(a, b) > 0) return `out of order: ${show(toPlain(a))} before ${show(toPlain(b))}`;
  }
  return undefined;
}

test(
  'an index scan finds what a full scan finds, in the order of the sort',
  () => {
    const plans = new Map<string, number>();
    let seed = SEED;
    for (const count of rounds(100)) {
      seed = SEED + count;
      try {
        round(new Random(seed), plans);
      } catch (error) {
        throw new Error(`FUZZ_SEED=${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
    console.log(`index fuzz: seeds ${SEED}…${seed}, plans ${show(Object.fromEntries(plans))}`);
  },
  TIMEOUT_MS,
);
