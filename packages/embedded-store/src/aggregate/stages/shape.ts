import { Int32, Long } from 'bson';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { parsePath, readPath } from '../field-path';
import { keepMetadata } from '../metadata';
import { type Transform, compileAddFields, compileProject, compileUnset } from '../project';
import {
  type PipelineContext,
  type Stage,
  type StageTable,
  mapStage,
  specDocument,
  stageExpression,
  transformStage,
} from '../stage';

function keeping(name: string, transform: Transform): Stage {
  return transformStage(name, (document) => keepMetadata(document, transform(document)));
}

function addFields(spec: Value, context: PipelineContext, name: string): Stage {
  const fields = specDocument(
    spec,
    40272,
    `${name} specification stage must be an object, got ${typeOf(spec)}`,
  );
  return keeping(
    name,
    compileAddFields(fields, (expression) => stageExpression(expression, context)),
  );
}

function unset(spec: Value, _context: PipelineContext, name: string): Stage {
  const paths = Array.isArray(spec) ? spec : [spec];
  if (!Array.isArray(spec) && typeof spec !== 'string') {
    throw new StoreError(31002, '$unset specification must be a string or an array');
  }
  if (paths.length === 0) {
    throw new StoreError(31119, '$unset specification must be a string or an array with at least one field');
  }
  if (!paths.every((path) => typeof path === 'string')) {
    throw new StoreError(
      31120,
      '$unset specification must be a string or an array containing only string values',
    );
  }
  return keeping(name, compileUnset(paths));
}

function replaceRoot(expression: Value, context: PipelineContext, name: string): Stage {
  const compute = stageExpression(expression, context);
  return keeping(name, (document) => {
    const root = compute(document);
    if (root instanceof Map) return root === document ? new Map(root) : root;
    throw new StoreError(
      40228,
      `'${name === '$replaceWith' ? 'replacement document' : 'newRoot'}' expression must evaluate to an object, but resulting value was of type: ${typeOf(root)}`,
    );
  });
}

function unwind(spec: Value, _context: PipelineContext, name: string): Stage {
  const options = spec instanceof Map ? spec : new Map<string, Value>([['path', spec]]);
  if (!(spec instanceof Map) && typeof spec !== 'string') {
    throw new StoreError(
      15981,
      `expected either a string or an object as specification for $unwind stage, got ${typeOf(spec)}`,
    );
  }
  for (const key of options.keys()) {
    if (!['path', 'preserveNullAndEmptyArrays', 'includeArrayIndex'].includes(key)) {
      throw new StoreError(28811, `unrecognized option to $unwind stage: ${key}`);
    }
  }
  const path = options.get('path');
  const preserve = options.get('preserveNullAndEmptyArrays') ?? false;
  const index = options.get('includeArrayIndex');
  if (path === undefined || path === '') throw new StoreError(28812, 'no path specified to $unwind stage');
  if (typeof path !== 'string') {
    throw new StoreError(28808, `expected a string as the path for $unwind stage, got ${typeOf(path)}`);
  }
  if (typeof preserve !== 'boolean') {
    throw new StoreError(
      28809,
      'expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage',
    );
  }
  if (index !== undefined && (typeof index !== 'string' || index === '')) {
    throw new StoreError(
      28810,
      'expected a non-empty string for the includeArrayIndex option to $unwind stage',
    );
  }
  if (!path.startsWith('$')) {
    throw new StoreError(28818, `path option to $unwind stage should be prefixed with a '$': ${path}`);
  }
  if (index?.startsWith('$')) {
    throw new StoreError(
      28822,
      `includeArrayIndex option to $unwind stage should not be prefixed with a '$': ${index}`,
    );
  }
  const parts = parsePath(path.slice(1));
  const indexParts = index === undefined ? undefined : parsePath(index);
  return mapStage(name, (document) => unwound(document, parts, preserve, indexParts));
}

function* unwound(
  document: Document,
  parts: string[],
  preserve: boolean,
  indexParts: string[] | undefined,
): Generator<Document> {
  // $unwind does not descend into arrays on the path to its own.
  const value = readPlain(document, parts);
  const emit = (item: Value | undefined, position: Value): Document => {
    let made = setPath(document, parts, item);
    if (indexParts !== undefined) made = setPath(made, indexParts, position);
    return keepMetadata(document, made);
  };
  if (Array.isArray(value)) {
    if (value.length === 0 && preserve) yield emit(undefined, null);
    for (const [i, item] of value.entries()) yield emit(item, Long.fromNumber(i));
  } else if (value !== undefined && value !== null) {
    yield emit(value, null);
  } else if (preserve) {
    yield emit(value, null);
  }
}

function readPlain(document: Document, parts: string[]): Value | undefined {
  let current: Value | undefined = document;
  for (const part of parts) {
    if (!(current instanceof Map)) return undefined;
    current = readPath(current, [part]);
  }
  return current;
}

/** A copy of the document with a value set at a path (or removed); other values are shared. */
export function setPath(document: Document, parts: readonly string[], value: Value | undefined): Document {
  const [first, ...rest] = parts as [string, ...string[]];
  const made = new Map(document);
  if (rest.length === 0) {
    if (value === undefined) made.delete(first);
    else made.set(first, value);
    return made;
  }
  const inner = made.get(first);
  if (inner instanceof Map) made.set(first, setPath(inner, rest, value));
  else if (value !== undefined) made.set(first, setPath(new Map(), rest, value));
  return made;
}

function count(spec: Value, _context: PipelineContext, name: string): Stage {
  if (typeof spec !== 'string') throw new StoreError(40156, 'the count field must be a non-empty string');
  if (spec === '') throw new StoreError(40157, 'the count field must be a non-empty string');
  if (spec.startsWith('$')) throw new StoreError(40158, 'the count field cannot be a $-prefixed path');
  if (spec.includes('\0')) throw new StoreError(40159, 'the count field cannot contain a null byte');
  if (spec.includes('.')) throw new StoreError(40160, "the count field cannot contain '.'");
  return {
    name,
    exhaustive: true,
    *run(source) {
      let total = 0;
      for (const document of source) {
        if (document === undefined) yield undefined;
        else total++;
      }
      if (total > 0) yield new Map([[spec, total > 0x7fffffff ? Long.fromNumber(total) : new Int32(total)]]);
    },
  };
}

/** Stages that change documents one by one, and $count. */
export const SHAPE_STAGES: StageTable = {
  $addFields: addFields,
  $set: addFields,
  $unset: unset,
  $unwind: unwind,
  $count: count,
  $project(spec, context, name) {
    const fields = specDocument(spec, 15969, '$project specification must be an object');
    return keeping(
      name,
      compileProject(fields, (expression) => stageExpression(expression, context)),
    );
  },
  $replaceRoot(spec, context, name) {
    const options = specDocument(
      spec,
      40229,
      `expected an object as specification for $replaceRoot stage, got ${typeOf(spec)}`,
    );
    for (const key of options.keys()) {
      if (key !== 'newRoot') throw new StoreError(40230, `unrecognized option to $replaceRoot stage: ${key}`);
    }
    const root = options.get('newRoot');
    if (root === undefined) throw new StoreError(40231, 'no newRoot specified for the $replaceRoot stage');
    return replaceRoot(root, context, name);
  },
  $replaceWith: replaceRoot,
};
