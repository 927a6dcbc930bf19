import type { Document, Value } from '../bson/types';
import { isNumber, toNumber } from '../bson/numbers';
import { StoreError } from '../errors';
import type { Expression } from './expression';
import { checkFieldName, parsePath } from './field-path';

/**
 * One level of a parsed $project or $addFields: each field is included, excluded, computed, or has a level of its
 * own.
 */
interface Level {
  fields: Map<string, Field>;
}
type Field =
  | { kind: 'include' }
  | { kind: 'exclude' }
  | { kind: 'compute'; expression: Expression }
  | { kind: 'nest'; level: Level };

type CompileExpression = (expression: Value) => Expression;

/** Turns one document into another. */
export type Transform = (document: Document) => Document;

/** Compiles the specification of $project (https://www.mongodb.com/docs/manual/reference/operator/aggregation/project/). */
export function compileProject(spec: Document, compile: CompileExpression): Transform {
  const level = parseLevel(spec, compile, false);
  const inclusion = isInclusion(spec);
  if (!inclusion) return (document) => excludeFrom(document, level);
  if (!level.fields.has('_id')) level.fields.set('_id', { kind: 'include' });
  return (document) => addTo(includeFrom(document, level), level, document);
}

/** Compiles the specification of $addFields ($set). */
export function compileAddFields(spec: Document, compile: CompileExpression): Transform {
  const level = parseLevel(spec, compile, true);
  return (document) => addTo(new Map(document), level, document);
}

/** Compiles the list of paths of $unset. */
export function compileUnset(paths: readonly string[]): Transform {
  const level: Level = { fields: new Map() };
  for (const path of paths) put(level, parsePath(path), { kind: 'exclude' }, path);
  return (document) => excludeFrom(document, level);
}

function parseLevel(spec: Document, compile: CompileExpression, literals: boolean): Level {
  if (spec.size === 0) throw new StoreError(40177, 'specification must have at least one field');
  const root: Level = { fields: new Map() };
  for (const [path, value] of spec) {
    if (path.startsWith('$')) checkFieldName(path);
    parseValue(root, parsePath(path), value, compile, literals, path);
  }
  return root;
}

function parseValue(
  root: Level,
  path: string[],
  value: Value,
  compile: CompileExpression,
  literals: boolean,
  name: string,
): void {
  if (!literals && (typeof value === 'boolean' || isNumber(value))) {
    const wanted = typeof value === 'boolean' ? value : toNumber(value) !== 0;
    put(root, path, { kind: wanted ? 'include' : 'exclude' }, name);
    return;
  }
  if (!(value instanceof Map)) {
    put(root, path, { kind: 'compute', expression: compile(value) }, name);
    return;
  }
  if (value.size === 0) {
    throw new StoreError(40180, `an empty object is not a valid value. Found empty object at path ${name}`);
  }
  const keys = [...value.keys()];
  if (keys.some((key) => key.startsWith('$'))) {
    if (keys.length !== 1) {
      throw new StoreError(
        40181,
        `an expression specification must contain exactly one field, found ${keys.length} fields at path ${name}`,
      );
    }
    put(root, path, { kind: 'compute', expression: compile(value) }, name);
    return;
  }
  for (const [key, inner] of value) {
    if (key.includes('.')) {
      throw new StoreError(40183, `FieldPath field names may not contain '.' in a nested object: '${key}'`);
    }
    parseValue(root, [...path, ...parsePath(key)], inner, compile, literals, `${name}.${key}`);
  }
}

function put(root: Level, path: readonly string[], field: Field, name: string): void {
  let level = root;
  path.forEach((part, i) => {
    const present = level.fields.get(part);
    if (i === path.length - 1) {
      if (present !== undefined) collision(name);
      level.fields.set(part, field);
    } else if (present === undefined) {
      const next: Level = { fields: new Map() };
      level.fields.set(part, { kind: 'nest', level: next });
      level = next;
    } else {
      if (present.kind !== 'nest') collision(name);
      level = present.level;
    }
  });
}

function collision(name: string): never {
  throw new StoreError(
    40176,
    `specification contains two conflicting paths. Cannot specify both '${name}' and a path it contains or is contained in`,
  );
}

/**
 * Whether a $project includes fields or excludes them: the first field decides, and one that contradicts it is an
 * error. Excluding the top-level _id is allowed with both.
 */
function isInclusion(spec: Document): boolean {
  let inclusion: boolean | undefined;
  const decide = (wanted: boolean, code: number): void => {
    if (inclusion !== undefined && inclusion !== wanted) {
      throw new StoreError(
        code,
        wanted
          ? 'Bad projection specification, cannot include fields or add computed fields during an exclusion projection'
          : "Bad projection specification, cannot exclude fields other than '_id' in an inclusion projection",
      );
    }
    inclusion = wanted;
  };
  const visit = (path: string, value: Value): void => {
    if (!(value instanceof Map)) {
      if (!isFalse(value)) decide(true, 40179);
      else if (path !== '_id') decide(false, 40178);
      return;
    }
    for (const [key, inner] of value) {
      if (key.startsWith('$')) decide(true, 40182);
      else visit(`${path}.${key}`, inner);
    }
  };
  for (const [path, value] of spec) visit(path, value);
  return inclusion ?? !(spec.size === 1 && isFalse(spec.get('_id')));
}

function isFalse(value: Value | undefined): boolean {
  return value === false || (isNumber(value) && toNumber(value) === 0);
}

function includeFrom(document: Document, level: Level): Document {
  const made: Document = new Map();
  for (const [name, value] of document) {
    const field = level.fields.get(name);
    if (field?.kind === 'include') made.set(name, value);
    else if (field?.kind === 'nest') {
      const inner = includeInside(value, field.level);
      if (inner !== undefined) made.set(name, inner);
    }
  }
  return made;
}

function includeInside(value: Value, level: Level): Value | undefined {
  if (value instanceof Map) return includeFrom(value, level);
  if (!Array.isArray(value)) return undefined;
  return value.map((item) => includeInside(item, level)).filter((item) => item !== undefined);
}

function excludeFrom(document: Document, level: Level): Document {
  const made: Document = new Map();
  for (const [name, value] of document) {
    const field = level.fields.get(name);
    if (field === undefined) made.set(name, value);
    else if (field.kind === 'nest') made.set(name, excludeInside(value, field.level));
  }
  return made;
}

function excludeInside(value: Value, level: Level): Value {
  if (value instanceof Map) return excludeFrom(value, level);
  return Array.isArray(value) ? value.map((item) => excludeInside(item, level)) : value;
}

/** Adds the computed fields of a level to `target`, which it changes; they are computed from the input document. */
function addTo(target: Document, level: Level, root: Document): Document {
  for (const [name, field] of level.fields) {
    if (field.kind === 'compute') {
      const value = field.expression(root);
      if (value === undefined) target.delete(name);
      else target.set(name, value);
    } else if (field.kind === 'nest' && computes(field.level)) {
      target.set(name, addInside(target.get(name), field.level, root));
    }
  }
  return target;
}

function computes(level: Level): boolean {
  for (const field of level.fields.values()) {
    if (field.kind === 'compute' || (field.kind === 'nest' && computes(field.level))) return true;
  }
  return false;
}

/** In an array each element gets the fields; an element that is not a document is replaced by one. */
function addInside(value: Value | undefined, level: Level, root: Document): Value {
  if (Array.isArray(value)) return value.map((item) => addInside(item, level, root));
  return addTo(new Map(value instanceof Map ? value : []), level, root);
}
