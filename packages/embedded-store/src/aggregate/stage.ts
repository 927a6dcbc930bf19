import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import type { Output } from './output';
import { type Expression, type Uses, type Variables, compileExpression } from './expression';

/**
 * What stages pass to each other. Undefined is a pause: no document is ready yet, and the consumer may let other
 * work run before it asks for the next one. Stages pass pauses on.
 */
export type Steps = Iterable<Document | undefined>;

/** What stages such as $lookup need of the database that the pipeline runs on. */
export interface Access {
  /** The documents of a collection of the same database that match a filter, in natural order. */
  find(collection: string, filter: Document, options: FindOptions): Steps;
  /** The figures of the pipeline's own collection, as collStats has them; sizes in units of `scale` bytes. */
  statistics?(scale: number): Document;
  /** The running commands, for $currentOp. */
  operations?(): readonly Document[];
}

/** How a stage wants to read a collection. */
export interface FindOptions {
  sort?: Document | undefined;
  skip?: number | undefined;
  limit?: number | undefined;
  collation?: Document | undefined;
  /** Values of the variables that the filter may name in $expr. */
  variables?: Variables | undefined;
}

/** A compiled stage. */
export interface Stage {
  readonly name: string;
  /** It makes new documents only from what its expressions read. */
  readonly exhaustive?: boolean;
  /** Where the pipeline's documents are written, for $out and $merge. */
  readonly output?: Output;
  /** A $match with $text, which requires the index. */
  readonly text?: boolean;
  run(source: Steps, access: Access): Steps;
}

/** Where a pipeline is used: some stages are only allowed in some places. */
export interface PipelineContext {
  readonly collator: Collator | undefined;
  readonly collation: Document | undefined;
  /** Variables with their values: the command's `let`, and those of $lookup. */
  readonly variables: Variables;
  readonly now: Date;
  readonly allowDiskUse: boolean;
  /** Collects what the stage's expressions read. */
  readonly uses: Uses;
  /** What the pipeline is part of. */
  readonly place: 'top' | 'lookup' | 'facet' | 'union';
  /** Compiles a pipeline within this one. */
  nested(stages: Value, place: PipelineContext['place'], variables?: Variables): NestedPipeline;
}

/** A pipeline inside a stage. */
export interface NestedPipeline {
  /** Runs the stages over given documents. */
  over(source: Steps, access: Access): Steps;
  /** Runs over a collection; the query planner executes its leading stages. */
  on(collection: string | undefined, access: Access): Steps;
}

/** Compiles the specification of one stage. */
export type StageCompiler = (spec: Value, context: PipelineContext, name: string) => Stage;

/** A table of stages, by name with the dollar. */
export type StageTable = Readonly<Record<string, StageCompiler>>;

/** An expression in the context of a pipeline; values of `names` are passed to each run. */
export function stageExpression(
  expression: Value,
  context: PipelineContext,
  names?: readonly string[],
): Expression {
  return compileExpression(expression, {
    collator: context.collator,
    variables: context.variables,
    names,
    now: context.now,
    uses: context.uses,
  });
}

/** A stage that maps each document to any number of others. */
export function mapStage(name: string, each: (document: Document) => Iterable<Document>): Stage {
  return {
    name,
    *run(source) {
      for (const document of source) {
        if (document === undefined) yield undefined;
        else yield* each(document);
      }
    },
  };
}

/** A stage that maps each document to one other. */
export function transformStage(name: string, transform: (document: Document) => Document): Stage {
  return {
    name,
    *run(source) {
      for (const document of source) yield document === undefined ? undefined : transform(document);
    },
  };
}

/** The specification as a document. Throws an error with `code` when it is not one. */
export function specDocument(
  spec: Value | undefined,
  code: number | 'FailedToParse',
  message: string,
): Document {
  if (spec instanceof Map) return spec;
  throw new StoreError(code, message);
}
