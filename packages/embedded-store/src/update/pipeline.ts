import type { Document, Value } from '../bson/types';
import { compareValues } from '../bson/compare';
import { StoreError } from '../errors';
import { compilePipeline } from '../aggregate/pipeline';
import type { Access } from '../aggregate/stage';
import { identical } from './identical';
import { withIdFirst } from './replacement';
import { checkStorableDocument } from './storable';
import type { Update, UpdateOptions } from './types';

/** The stages that MongoDB allows in an update. */
const STAGES = new Set(['$addFields', '$set', '$unset', '$project', '$replaceRoot', '$replaceWith']);

const NO_ACCESS: Access = {
  find() {
    throw new StoreError('InvalidOptions', 'An update reads no other collection');
  },
};

/**
 * Compiles an update that is an aggregation pipeline.
 *
 * @throws StoreError InvalidOptions for a stage that is not allowed in updates, and the errors of the stages.
 * @see https://www.mongodb.com/docs/manual/tutorial/update-documents-with-aggregation-pipeline/
 */
export function compileUpdatePipeline(
  stages: readonly Value[],
  options: UpdateOptions,
): Pick<Update, 'apply'> {
  const { collator, variables } = options;
  const pipeline = compilePipeline(stages, { collator, variables });
  for (const stage of stages) {
    const name = stage instanceof Map ? stage.keys().next().value : undefined;
    if (name !== undefined && !STAGES.has(name)) {
      throw new StoreError('InvalidOptions', `${name} is not allowed to be used within an update`);
    }
  }
  return {
    apply(document) {
      const [result] = pipeline.run([document], NO_ACCESS);
      if (result === undefined) throw new StoreError('InternalError', 'An update lost its document');
      return finish(document, result);
    },
  };
}

function finish(before: Document, produced: Document): Document {
  const id = before.get('_id');
  const result = withIdFirst(
    id === undefined || produced.has('_id') ? produced : new Map([['_id', id], ...produced]),
  );
  if (identical(before, result)) return before;
  if (id !== undefined && compareValues(id, result.get('_id')) !== 0) {
    throw new StoreError(
      'ImmutableField',
      "Performing an update on the path '_id' would modify the immutable field '_id'",
    );
  }
  checkStorableDocument(result);
  return result;
}
