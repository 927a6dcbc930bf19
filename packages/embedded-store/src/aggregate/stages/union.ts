import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { keepMetadata } from '../metadata';
import { type PipelineContext, type Stage, type StageTable, specDocument, stageExpression } from '../stage';

function unionWith(spec: Value, context: PipelineContext, name: string): Stage {
  const given =
    typeof spec === 'string'
      ? new Map<string, Value>([['coll', spec]])
      : specDocument(
          spec,
          'FailedToParse',
          `the $unionWith stage specification must be an object or string, but found ${typeOf(spec)}`,
        );
  for (const key of given.keys()) {
    if (key !== 'coll' && key !== 'pipeline') {
      throw new StoreError(40415, `BSON field '$unionWith.${key}' is an unknown field.`);
    }
  }
  const collection = given.get('coll');
  const stages = given.get('pipeline') ?? [];
  if (collection !== undefined && typeof collection !== 'string') {
    throw new StoreError(
      'TypeMismatch',
      "BSON field '$unionWith.coll' is the wrong type, expected type 'string'",
    );
  }
  if (collection === undefined && !startsWithDocuments(stages)) {
    throw new StoreError(
      'FailedToParse',
      '$unionWith stage without explicit collection must have a pipeline with $documents as first stage',
    );
  }
  const pipeline = context.nested(stages, 'union');
  return {
    name,
    *run(source, access) {
      yield* source;
      yield* pipeline.on(collection, access);
    },
  };
}

function startsWithDocuments(stages: Value): boolean {
  const [first] = Array.isArray(stages) ? stages : [];
  return first instanceof Map && first.has('$documents');
}

/** Documents of the pipeline itself in place of a collection. */
function documents(spec: Value, context: PipelineContext, name: string): Stage {
  const compute = stageExpression(spec, context);
  return {
    name,
    *run() {
      const list = compute(new Map());
      if (!Array.isArray(list) || !list.every((item) => item instanceof Map)) {
        throw new StoreError(5858203, 'an array of documents is expected');
      }
      yield* list;
    },
  };
}

function redact(spec: Value, context: PipelineContext, name: string): Stage {
  const decisions: Document = new Map([
    ['DESCEND', 'descend'],
    ['PRUNE', 'prune'],
    ['KEEP', 'keep'],
  ]);
  const variables = new Map([...context.variables, ...decisions]);
  const decide = stageExpression(spec, { ...context, variables }, ['CURRENT']);
  const visit = (value: Document, root: Document): Document | undefined => {
    const decision = decide(root, new Map([['CURRENT', value]]));
    if (decision === 'keep') return value;
    if (decision === 'prune') return undefined;
    if (decision === 'descend') {
      const made: Document = new Map();
      for (const [key, item] of value) {
        const kept = inside(item, root);
        if (kept !== undefined) made.set(key, kept);
      }
      return made;
    }
    throw new StoreError(
      17053,
      `$redact's expression should not return anything aside from the variables $$KEEP, $$DESCEND, and $$PRUNE, but returned ${typeOf(decision)}`,
    );
  };
  const inside = (value: Value, root: Document): Value | undefined => {
    if (value instanceof Map) return visit(value, root);
    if (!Array.isArray(value)) return value;
    return value.map((item) => inside(item, root)).filter((item) => item !== undefined);
  };
  return {
    name,
    *run(source) {
      for (const document of source) {
        const made = document && visit(document, document);
        if (document === undefined) yield undefined;
        else if (made !== undefined) yield keepMetadata(document, made);
      }
    },
  };
}

/** $unionWith, $documents, $redact. */
export const UNION_STAGES: StageTable = {
  $unionWith: unionWith,
  $documents: documents,
  $redact: redact,
};
