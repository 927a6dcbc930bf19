import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import { typeOf } from './arguments';
import type { Uses, Variables } from './expression';
import type { Output } from './output';
import { checkPlaces } from './places';
import { type Prefix, splitPrefix } from './prefix';
import type { Access, NestedPipeline, PipelineContext, Stage, Steps } from './stage';
import { STAGES } from './stages';

/** Settings of a pipeline. */
export interface PipelineOptions {
  collator?: Collator | undefined;
  /** The command's `let`: names and constant values. */
  variables?: Variables | undefined;
  /** Allows stages to use more memory than MongoDB's limit for stages that may not use the disk. */
  allowDiskUse?: boolean | undefined;
  /** The command's time for $$NOW. */
  now?: Date | undefined;
}

/** A compiled aggregation pipeline. */
export interface Pipeline {
  /** What its first stages select from the collection; the source passed to `run` must be that selection. */
  readonly prefix: Prefix;
  /** Names of the stages that are left after the prefix. */
  readonly stages: readonly string[];
  /** The top-level fields that those stages read; undefined when they need whole documents. */
  readonly fields: ReadonlySet<string> | undefined;
  /** Where the documents are written instead of being returned. */
  readonly output: Output | undefined;
  /** Runs the stages after the prefix. */
  run(source: Iterable<Document>, access: Access): Iterable<Document>;
  /** As `run`, but yields undefined now and then, when the caller may let other work run. */
  steps(source: Steps, access: Access): Steps;
}

/**
 * Compiles a pipeline (https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/). Throws all
 * errors that MongoDB throws when it parses, even if no document is read.
 */
export function compilePipeline(stages: readonly Value[], options: PipelineOptions = {}): Pipeline {
  const now = options.now ?? new Date();
  const { collator, variables = NO_VARIABLES, allowDiskUse = false } = options;
  const context = makeContext({ collator, variables, now, allowDiskUse, place: 'top' });
  const { prefix, rest } = compileStages(stages, context);
  const steps = (source: Steps, access: Access): Steps => chain(rest, source, access);
  return {
    prefix,
    stages: rest.map(({ name }) => name),
    fields: fieldsOf(rest[0]),
    output: rest.at(-1)?.output,
    steps,
    *run(source, access) {
      for (const document of steps(source, access)) {
        if (document !== undefined) yield document;
      }
    },
  };
}

const NO_VARIABLES: Variables = new Map<string, Value>();

type Settings = Pick<PipelineContext, 'collator' | 'variables' | 'now' | 'allowDiskUse' | 'place'>;

function makeContext(settings: Settings): PipelineContext {
  const { collator, variables } = settings;
  return {
    ...settings,
    collation: collator?.spec,
    uses: { fields: new Set(), whole: false },
    nested(stages, place, more = NO_VARIABLES) {
      return nestedPipeline(
        stages,
        makeContext({ ...settings, place, variables: new Map([...variables, ...more]) }),
      );
    },
  };
}

function nestedPipeline(stages: Value, context: PipelineContext): NestedPipeline {
  if (!Array.isArray(stages)) {
    throw new StoreError('TypeMismatch', `a pipeline must be an array, found ${typeOf(stages)}`);
  }
  const { all, prefix, rest } = compileStages(stages, context);
  return {
    over: (source, access) => chain(all, source, access),
    on(collection, access) {
      const source =
        collection === undefined
          ? []
          : access.find(collection, prefix.filter ?? new Map<string, Value>(), {
              sort: prefix.sort,
              skip: prefix.skip,
              limit: prefix.limit,
              collation: context.collation,
              variables: context.variables,
            });
      return chain(rest, source, access);
    },
  };
}

/** A stage, and what its expressions read. */
type Compiled = Stage & { uses: Uses };

function fieldsOf(first: Compiled | undefined): ReadonlySet<string> | undefined {
  if (first?.exhaustive !== true || first.uses.whole) return undefined;
  return first.uses.fields;
}

function compileStages(
  stages: readonly Value[],
  context: PipelineContext,
): { all: Compiled[]; prefix: Prefix; rest: Compiled[] } {
  const all = stages.map((stage) => {
    const uses: Uses = { fields: new Set(), whole: false };
    return { ...compileStage(stage, { ...context, uses }), uses };
  });
  checkPlaces(
    all.map(({ name }) => name),
    context.place,
  );
  const misplaced = all.findIndex(({ text }) => text === true);
  if (misplaced > 0 || (misplaced === 0 && context.place === 'facet')) {
    throw new StoreError(17313, '$match with $text is only allowed as the first pipeline stage');
  }
  const prefix = splitPrefix(stages as Document[], context.variables);
  return { all, prefix, rest: all.slice(prefix.stages) };
}

function compileStage(stage: Value, context: PipelineContext): Stage {
  if (!(stage instanceof Map)) {
    throw new StoreError('TypeMismatch', `Each element of the 'pipeline' array must be an object`);
  }
  const [entry, ...others] = [...stage];
  if (entry === undefined || others.length > 0) {
    throw new StoreError(40323, 'A pipeline stage specification object must contain exactly one field.');
  }
  const [name, spec] = entry;
  const compile = STAGES.get(name);
  if (compile === undefined) throw new StoreError(40324, `Unrecognized pipeline stage name: '${name}'`);
  return compile(spec, context, name);
}

function chain(stages: readonly Stage[], source: Steps, access: Access): Steps {
  return stages.reduce((steps, stage) => stage.run(steps, access), source);
}
