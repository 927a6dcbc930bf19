import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { parsePath, readPath } from '../field-path';
import { keepMetadata } from '../metadata';
import { type PipelineContext, type Stage, type StageTable, specDocument, stageExpression } from '../stage';
import { checkUserVariable } from '../variables';
import { setPath } from './shape';

interface LookupSpec {
  from: string | undefined;
  as: string;
  localField: string | undefined;
  foreignField: string | undefined;
  let: Document | undefined;
  pipeline: Value | undefined;
}

function parseLookup(spec: Value): LookupSpec {
  const given = specDocument(
    spec,
    'FailedToParse',
    `the $lookup specification must be an Object, but found ${typeOf(spec)}`,
  );
  const strings: Record<string, string> = {};
  for (const [key, value] of given) {
    if (key === 'pipeline') {
      if (!Array.isArray(value))
        throw new StoreError('TypeMismatch', "'pipeline' option must be specified as an array");
    } else if (key === 'let') {
      specDocument(value, 'FailedToParse', `$lookup argument 'let: ${typeOf(value)}' must be an object`);
    } else if (['from', 'as', 'localField', 'foreignField'].includes(key)) {
      if (typeof value !== 'string') {
        throw new StoreError(
          'FailedToParse',
          `$lookup argument '${key}' must be a string, found ${typeOf(value)}`,
        );
      }
      strings[key] = value;
    } else {
      throw new StoreError('FailedToParse', `unknown argument to $lookup: ${key}`);
    }
  }
  const { from, as, localField, foreignField } = strings;
  const pipeline = given.get('pipeline');
  if (as === undefined) throw new StoreError('FailedToParse', "must specify 'as' field for a $lookup");
  const [first] = Array.isArray(pipeline) ? pipeline : [];
  if (from === undefined && !(first instanceof Map && first.has('$documents'))) {
    throw new StoreError('FailedToParse', "must specify 'from' field for a $lookup");
  }
  const variables = given.get('let');
  if (pipeline === undefined) {
    if (variables !== undefined) {
      throw new StoreError('FailedToParse', "$lookup with 'let' requires 'pipeline' to be specified");
    }
    if (localField === undefined || foreignField === undefined) {
      throw new StoreError(
        'FailedToParse',
        "$lookup requires either 'pipeline' or both 'localField' and 'foreignField' to be specified",
      );
    }
  } else if ((localField === undefined) !== (foreignField === undefined)) {
    throw new StoreError(
      'FailedToParse',
      "$lookup requires both or neither of 'localField' and 'foreignField' to be specified",
    );
  }
  return { from, as, localField, foreignField, let: variables as Document | undefined, pipeline };
}

/** The filter for documents whose field equals the local value, or one of its elements; missing counts as null. */
function equalityFilter(document: Document, local: string[], foreign: string): Document {
  const value = readPath(document, local) ?? null;
  const test: Value = Array.isArray(value)
    ? new Map<string, Value>([['$in', value]])
    : new Map<string, Value>([['$eq', value]]);
  if (!Array.isArray(value) || !value.some(isRegex)) return new Map([[foreign, test]]);
  // In $in a regular expression would be a pattern; here it is a value like any other.
  const tests = value.map((item): Value => new Map([[foreign, new Map([['$eq', item]])]]));
  return new Map<string, Value>([['$or', tests]]);
}

function isRegex(value: Value): boolean {
  return (
    typeof value === 'object' && value !== null && '_bsontype' in value && value._bsontype === 'BSONRegExp'
  );
}

function lookup(spec: Value, context: PipelineContext, name: string): Stage {
  const given = parseLookup(spec);
  const as = parsePath(given.as);
  const local = given.localField === undefined ? undefined : parsePath(given.localField);
  if (given.foreignField !== undefined) parsePath(given.foreignField);
  const bindings = [...(given.let ?? [])].map(([variable, expression]) => {
    checkUserVariable(variable);
    return [variable, stageExpression(expression, context)] as const;
  });
  const stages = given.pipeline as Value[] | undefined;
  // Compiled here to find errors. It is compiled again for each document with its values, so that index bounds
  // can use them.
  const fixed =
    stages && context.nested(stages, 'lookup', new Map(bindings.map(([variable]) => [variable, null])));
  return {
    name,
    *run(source, access) {
      for (const document of source) {
        if (document === undefined) {
          yield undefined;
          continue;
        }
        const filter =
          local === undefined || given.foreignField === undefined
            ? undefined
            : equalityFilter(document, local, given.foreignField);
        let found;
        if (stages === undefined || fixed === undefined) {
          found = access.find(given.from as string, filter ?? new Map<string, Value>(), {
            collation: context.collation,
          });
        } else {
          const values = new Map(bindings.map(([variable, compute]) => [variable, compute(document)]));
          const all = filter === undefined ? stages : [new Map([['$match', filter]]), ...stages];
          const pipeline =
            bindings.length === 0 && filter === undefined ? fixed : context.nested(all, 'lookup', values);
          found = pipeline.on(given.from, access);
        }
        const list: Value[] = [];
        for (const other of found) {
          if (other === undefined) yield undefined;
          else list.push(other);
        }
        yield keepMetadata(document, setPath(document, as, list));
      }
    },
  };
}

/** $lookup in both its forms, and their combination. */
export const JOIN_STAGES: StageTable = { $lookup: lookup };
