import { StoreError } from '../errors';
import type { PipelineContext } from './stage';

const LAST = new Set(['$out', '$merge']);
const FIRST = new Set(['$documents', '$collStats', '$currentOp']);
/** What MongoDB does not allow within $facet. */
const NOT_IN_FACET = new Set(['$facet', '$out', '$merge', '$documents', '$collStats', '$currentOp']);

/** Checks that each stage of a pipeline is allowed at its position. */
export function checkPlaces(names: readonly string[], place: PipelineContext['place']): void {
  names.forEach((name, i) => {
    if (place === 'facet' && NOT_IN_FACET.has(name)) {
      throw new StoreError(40600, `${name} is not allowed to be used within a $facet stage`);
    }
    if (LAST.has(name)) {
      if (place === 'lookup')
        throw new StoreError(51047, `${name} is not allowed within a $lookup's sub-pipeline`);
      if (place === 'union')
        throw new StoreError(31441, `${name} is not allowed within a $unionWith's sub-pipeline`);
      if (i < names.length - 1) {
        throw new StoreError(40601, `${name} can only be the final stage in the pipeline`);
      }
    }
    if (FIRST.has(name) && i > 0) {
      throw new StoreError(40602, `${name} is only valid as the first stage in a pipeline.`);
    }
  });
}
