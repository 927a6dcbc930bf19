import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Update, UpdateOptions } from './update';

/** The stages that MongoDB allows in an update. */
const STAGES = new Set(['$addFields', '$set', '$unset', '$project', '$replaceRoot', '$replaceWith']);

/**
 * Compiles an update that is an aggregation pipeline.
 *
 * @throws StoreError InvalidOptions for a stage that updates may not have.
 * @see https://www.mongodb.com/docs/manual/tutorial/update-documents-with-aggregation-pipeline/
 */
export function compileUpdatePipeline(
  stages: readonly Value[],
  _options: UpdateOptions,
): Pick<Update, 'apply'> {
  for (const stage of stages) {
    const name = stage instanceof Map ? stage.keys().next().value : undefined;
    if (name !== undefined && !STAGES.has(name)) {
      throw new StoreError('InvalidOptions', `${name} is not allowed to be used within an update`);
    }
  }
  throw new StoreError('CommandNotSupported', 'Updates with an aggregation pipeline are not supported');
}
