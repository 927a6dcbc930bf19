/** A JSON value: a schema, or a part of an API document. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** One difference between two versions of an API. */
export interface Change {
  /** Whether a client that worked before may fail now. */
  breaking: boolean;
  /** The location: an operation or an event, and the path of the field. */
  at: string;
  what: string;
}

/**
 * The direction of the data. Input that was valid must remain valid, so schemas may only become wider. Clients must
 * still understand output, so its schemas may only become narrower.
 */
export type Direction = 'input' | 'output';

/** Compares schemas of two documents. Each schema may refer to parts of its own document. */
export class SchemaDiff {
  readonly changes: Change[] = [];
  /** The pairs that are being compared, because a schema may contain itself. */
  private readonly open = new Set<string>();

  constructor(
    private readonly before: JsonObject,
    private readonly after: JsonObject,
  ) {}

  /** Records the differences between two schemas. */
  compare(at: string, direction: Direction, before: Json | undefined, after: Json | undefined): void {
    const pair = `${direction} ${refOf(before)} ${refOf(after)}`;
    if (refOf(before) && refOf(after)) {
      if (this.open.has(pair)) return;
      this.open.add(pair);
    }
    const [old, now] = [resolve(this.before, before), resolve(this.after, after)];
    const [oldBranches, newBranches] = [branchesOf(old), branchesOf(now)];
    if (oldBranches.length > 1 || newBranches.length > 1) {
      this.compareBranches(at, direction, oldBranches, newBranches);
    } else {
      this.compareOne(at, direction, old, now);
    }
    this.open.delete(pair);
  }

  record(breaking: boolean, at: string, what: string): void {
    this.changes.push({ breaking, at, what });
  }

  /** Compares alternatives: similar ones are compared with each other, and the others were added or removed. */
  private compareBranches(at: string, direction: Direction, old: JsonObject[], now: JsonObject[]): void {
    const oldByShape = groupByShape(old.map((one) => resolve(this.before, one)));
    const newByShape = groupByShape(now.map((one) => resolve(this.after, one)));
    for (const [shape, one] of oldByShape) {
      const other = newByShape.get(shape);
      if (other) this.compareOne(`${at} (${shape})`, direction, one, other);
      else
        this.record(
          direction === 'input',
          at,
          `no longer ${direction === 'input' ? 'takes' : 'is'} ${shape}`,
        );
    }
    for (const shape of newByShape.keys()) {
      if (oldByShape.has(shape)) continue;
      this.record(
        direction === 'output',
        at,
        `${direction === 'input' ? 'also takes' : 'may also be'} ${shape}`,
      );
    }
  }

  private compareOne(at: string, direction: Direction, old: JsonObject, now: JsonObject): void {
    const [oldType, newType] = [typeOf(old), typeOf(now)];
    if (oldType !== newType) {
      // Input that may be anything includes every particular type.
      const widened = newType === 'anything';
      this.record(widened ? direction === 'output' : true, at, `is ${newType}, not ${oldType}`);
      return;
    }
    this.compareValues(at, direction, old, now);
    this.compareBounds(at, direction, old, now);
    this.compareProperties(at, direction, old, now);
    for (const part of ['items', 'additionalProperties', 'propertyNames'] as const) {
      const [one, other] = [old[part], now[part]];
      if (isObject(one) && isObject(other))
        this.compare(`${at}${part === 'items' ? '[]' : '.*'}`, direction, one, other);
      else if (part !== 'propertyNames' && (one === false) !== (other === false) && oldType === 'object') {
        const closed = other === false;
        this.record(
          closed === (direction === 'input'),
          at,
          closed ? 'takes no other fields' : 'takes other fields',
        );
      }
    }
  }

  private compareValues(at: string, direction: Direction, old: JsonObject, now: JsonObject): void {
    const [before, after] = [valuesOf(old), valuesOf(now)];
    if (!before && !after) return;
    if (!before) this.record(direction === 'input', at, `is one of ${list(after!)} only`);
    else if (!after) this.record(direction === 'output', at, `is no longer one of ${list(before)} only`);
    else {
      const removed = before.filter((value) => !after.includes(value));
      const come = after.filter((value) => !before.includes(value));
      if (removed.length > 0) this.record(direction === 'input', at, `is no longer ${list(removed)}`);
      if (come.length > 0) this.record(direction === 'output', at, `may also be ${list(come)}`);
    }
  }

  private compareBounds(at: string, direction: Direction, old: JsonObject, now: JsonObject): void {
    for (const [name, isUpper] of BOUNDS) {
      const [before, after] = [numberAt(old, name), numberAt(now, name)];
      if (before === after) continue;
      const narrower =
        after !== undefined && (before === undefined || (isUpper ? after < before : after > before));
      const what = `${name} is ${after ?? 'missing'}, not ${before ?? 'without one'}`;
      // Output with other bounds still has the same type.
      this.record(narrower && direction === 'input', at, what);
    }
    for (const name of ['pattern', 'format'] as const) {
      if (old[name] === now[name]) continue;
      const breaking = direction === 'input' ? now[name] !== undefined : name === 'format';
      this.record(breaking, at, `${name} is ${text(now[name])}, not ${text(old[name])}`);
    }
  }

  private compareProperties(at: string, direction: Direction, old: JsonObject, now: JsonObject): void {
    const [before, after] = [objectAt(old, 'properties'), objectAt(now, 'properties')];
    const [oldRequired, newRequired] = [namesAt(old, 'required'), namesAt(now, 'required')];
    for (const [name, schema] of Object.entries(before)) {
      const field = `${at}.${name}`;
      if (!(name in after)) {
        const taken = direction === 'input' && now['additionalProperties'] !== false;
        this.record(!taken, field, 'was removed');
        continue;
      }
      this.compare(field, direction, schema, after[name]);
      const [was, is] = [oldRequired.includes(name), newRequired.includes(name)];
      if (was !== is)
        this.record(is === (direction === 'input'), field, is ? 'is required' : 'may be missing');
    }
    for (const name of Object.keys(after)) {
      if (name in before) continue;
      const required = newRequired.includes(name);
      const what = `was added${required && direction === 'input' ? ' and is required' : ''}`;
      this.record(required && direction === 'input', `${at}.${name}`, what);
    }
  }
}

const BOUNDS: readonly (readonly [name: string, isUpper: boolean])[] = [
  ['maxLength', true],
  ['maximum', true],
  ['exclusiveMaximum', true],
  ['maxItems', true],
  ['maxProperties', true],
  ['minLength', false],
  ['minimum', false],
  ['exclusiveMinimum', false],
  ['minItems', false],
  ['minProperties', false],
];

function refOf(schema: Json | undefined): string {
  return isObject(schema) && typeof schema['$ref'] === 'string' ? schema['$ref'] : '';
}

/** Returns a schema with its references resolved and the parts of an `allOf` merged. */
export function resolve(document: JsonObject, schema: Json | undefined): JsonObject {
  if (!isObject(schema)) return {};
  const ref = refOf(schema);
  if (ref) return resolve(document, at(document, ref));
  const { allOf, ...own } = schema;
  if (!Array.isArray(allOf)) return schema;
  return allOf.reduce<JsonObject>((whole, part) => ({ ...whole, ...resolve(document, part) }), own);
}

function at(document: JsonObject, ref: string): Json | undefined {
  let value: Json | undefined = document;
  for (const part of ref.replace(/^#\//, '').split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    value = isObject(value) ? value[key] : undefined;
  }
  return value;
}

/** Returns the alternatives of a schema: of `anyOf`, of `oneOf`, and of a list of types. */
function branchesOf(schema: JsonObject): JsonObject[] {
  for (const name of ['anyOf', 'oneOf']) {
    const branches = schema[name];
    if (Array.isArray(branches)) return branches.filter(isObject).flatMap((branch) => branchesOf(branch));
  }
  const { type } = schema;
  if (!Array.isArray(type)) return [schema];
  return type.map((one) => (one === 'null' ? { type: one } : { ...schema, type: one }));
}

/** Groups alternatives by what identifies them: the type, and the constants that distinguish objects. */
function groupByShape(branches: JsonObject[]): Map<string, JsonObject> {
  const shapes = new Map<string, JsonObject>();
  for (const branch of branches) {
    const shape = shapeOf(branch);
    let name = shape;
    for (let index = 2; shapes.has(name); index++) name = `${shape} ${index}`;
    shapes.set(name, branch);
  }
  return shapes;
}

function shapeOf(branch: JsonObject): string {
  const constants = Object.entries(objectAt(branch, 'properties')).flatMap(([name, schema]) =>
    isObject(schema) && schema['const'] !== undefined ? [`${name}: ${text(schema['const'])}`] : [],
  );
  return [typeOf(branch), ...constants].join(' ');
}

function typeOf(schema: JsonObject): string {
  const { type } = schema;
  if (typeof type === 'string') return type;
  const [first] = valuesOf(schema) ?? [];
  if (first !== undefined) return first === 'null' ? 'null' : typeof JSON.parse(first);
  return schema['properties'] ? 'object' : 'anything';
}

/** Returns the values of an enumeration, as JSON. */
function valuesOf(schema: JsonObject): string[] | undefined {
  if (schema['const'] !== undefined) return [JSON.stringify(schema['const'])];
  const values = schema['enum'];
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)) : undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectAt(schema: JsonObject, name: string): JsonObject {
  const value = schema[name];
  return isObject(value) ? value : {};
}

function namesAt(schema: JsonObject, name: string): string[] {
  const value = schema[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function numberAt(schema: JsonObject, name: string): number | undefined {
  const value = schema[name];
  return typeof value === 'number' ? value : undefined;
}

const list = (values: string[]): string => values.join(', ');
const text = (value: Json | undefined): string => (value === undefined ? 'missing' : JSON.stringify(value));
