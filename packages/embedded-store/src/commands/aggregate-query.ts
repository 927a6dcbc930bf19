import type { FindOptions } from '../aggregate/stage';
import { compilePipeline, type Pipeline } from '../aggregate/pipeline';
import type { Prefix } from '../aggregate/prefix';
import { StoreError } from '../errors';
import { compileCollation, type Collator } from '../query/collation';
import { compileFilter } from '../query/matcher';
import { compileSort } from '../query/sort';
import type { Collection } from '../storage/catalog';
import { selectAll, type SelectionSpec } from '../storage/selection-spec';
import type { CommandContext } from './command';
import { readHint } from './find';
import { EMPTY } from './reading';
import { collationOf } from './writing';

/** The parsed fields of an aggregate, for aggregate and explain. */
export interface AggregateQuery {
  pipeline: Pipeline;
  /** What the leading stages select from the collection. */
  spec: SelectionSpec;
  collator: Collator | undefined;
}

/** Reads and checks the fields of an aggregate. */
export function readAggregate(
  { args }: Pick<CommandContext, 'args'>,
  collection: Collection | undefined,
): AggregateQuery {
  const stages = args.array('pipeline');
  if (stages === undefined) {
    throw new StoreError('TypeMismatch', "'pipeline' option must be specified as an array");
  }
  const variables = args.document('let');
  const allowDiskUse = args.boolean('allowDiskUse');
  const collator = compileCollation(collationOf(collection, args.document('collation')));
  const pipeline = compilePipeline(stages, { collator, variables, allowDiskUse });
  const spec = selectionOf(pipeline.prefix, { collator, variables });
  spec.hint = readHint(args);
  spec.allowDiskUse = allowDiskUse;
  return { pipeline, spec, collator };
}

/** The part of a selection that the prefix of a pipeline (or a stage that reads a collection) specifies. */
export function selectionOf(
  { filter: filterDocument = EMPTY, sort, skip, limit }: Omit<Prefix, 'stages'>,
  { collator, variables }: { collator: Collator | undefined; variables: FindOptions['variables'] },
): SelectionSpec {
  const filter = compileFilter(filterDocument, { collator, variables });
  return {
    ...selectAll(filterDocument, filter),
    sortDocument: sort,
    sort: sort && compileSort(sort, { collator }),
    skip: skip ?? 0,
    limit,
    collator,
  };
}
