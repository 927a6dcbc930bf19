import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { checkFieldName } from '../field-path';
import { MemoryMeter } from '../memory';
import { type StageTable, specDocument } from '../stage';

/** $facet: several pipelines over the same documents. */
export const FACET_STAGES: StageTable = {
  $facet(spec, context, name) {
    const facets = specDocument(
      spec,
      40169,
      `the $facet specification must be a non-empty object, but found: ${typeOf(spec)}`,
    );
    if (facets.size === 0) throw new StoreError(40169, 'the $facet specification must be a non-empty object');
    const pipelines = [...facets].map(([field, stages]) => {
      if (!Array.isArray(stages)) {
        throw new StoreError(40170, `arguments to $facet must be arrays, ${field} is type ${typeOf(stages)}`);
      }
      checkFieldName(field);
      return [field, context.nested(stages, 'facet')] as const;
    });
    return {
      name,
      *run(source, access) {
        const documents: Document[] = [];
        const memory = new MemoryMeter(name, context.allowDiskUse);
        for (const document of source) {
          if (document === undefined) {
            yield undefined;
            continue;
          }
          memory.keep(document);
          documents.push(document);
        }
        const made: Document = new Map();
        for (const [field, pipeline] of pipelines) {
          const list: Value[] = [];
          for (const document of pipeline.over(documents, access)) {
            if (document === undefined) yield undefined;
            else list.push(document);
          }
          made.set(field, list);
        }
        yield made;
      },
    };
  },
};
