import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { parsePath } from '../field-path';
import type { MergeOutput, Output } from '../output';
import { type PipelineContext, type Stage, type StageTable, specDocument, stageExpression } from '../stage';
import { checkUserVariable } from '../variables';

/** A stage that passes documents on; the command writes the output of the pipeline. */
function outputStage(name: string, output: Output): Stage {
  return { name, output, run: (source) => source };
}

function readOut(spec: Value): Output {
  if (typeof spec === 'string') return { kind: 'out', database: undefined, collection: spec };
  const given = specDocument(
    spec,
    16990,
    `$out only supports a string or object argument, but found ${typeOf(spec)}`,
  );
  const database = given.get('db');
  const collection = given.get('coll');
  if (given.size !== 2 || typeof database !== 'string' || typeof collection !== 'string') {
    throw new StoreError(
      16994,
      "If an object is passed to $out it must have exactly 2 fields: 'db' and 'coll'",
    );
  }
  return { kind: 'out', database, collection };
}

const MERGE_FIELDS = ['into', 'on', 'let', 'whenMatched', 'whenNotMatched'];
const WHEN_MATCHED = ['replace', 'keepExisting', 'merge', 'fail'] as const;
const WHEN_NOT_MATCHED = ['insert', 'discard', 'fail'] as const;

function choice<T extends string>(value: Value | undefined, choices: readonly T[], field: string): T {
  const found = choices.find((option) => option === value);
  if (found !== undefined) return found;
  throw new StoreError(
    'BadValue',
    `Enumeration value '${typeof value === 'string' ? value : typeOf(value)}' for field '$merge.${field}' is not a valid value.`,
  );
}

function readInto(into: Value | undefined): { database: string | undefined; collection: string } {
  if (typeof into === 'string') return { database: undefined, collection: into };
  if (into === undefined)
    throw new StoreError(40414, "BSON field '$merge.into' is missing but a required field");
  const given = specDocument(into, 51178, "$merge 'into' field must be either a string or an object");
  const database = given.get('db');
  const collection = given.get('coll');
  if (typeof collection !== 'string' || collection === '') {
    throw new StoreError(51178, "$merge 'into' field must specify a 'coll' that is not empty");
  }
  if (database !== undefined && typeof database !== 'string') {
    throw new StoreError('TypeMismatch', "$merge 'into.db' must be a string");
  }
  return { database, collection };
}

function readOn(on: Value | undefined): string[] {
  if (on === undefined) return ['_id'];
  const fields = Array.isArray(on) ? on : [on];
  if (fields.length === 0) {
    throw new StoreError(51187, "If explicitly specifying $merge 'on', must include at least one field");
  }
  const names = fields.map((field) => {
    if (typeof field === 'string') return field;
    throw new StoreError(51134, `$merge 'on' array elements must be strings, but found ${typeOf(field)}`);
  });
  if (new Set(names).size !== names.length) {
    throw new StoreError(31465, 'Found a duplicate field in $merge on');
  }
  names.forEach((field) => parsePath(field));
  return names;
}

function readMerge(spec: Value, context: PipelineContext): Output {
  const given =
    typeof spec === 'string'
      ? new Map<string, Value>([['into', spec]])
      : specDocument(spec, 51182, `$merge requires a string or object argument, but found ${typeOf(spec)}`);
  for (const key of given.keys()) {
    if (!MERGE_FIELDS.includes(key)) {
      throw new StoreError(40415, `BSON field '$merge.${key}' is an unknown field.`);
    }
  }
  const matched = given.get('whenMatched') ?? 'merge';
  const bindings = readLet(given.get('let'), matched, context);
  const update = Array.isArray(matched) ? matched : undefined;
  const result: MergeOutput = {
    kind: 'merge',
    ...readInto(given.get('into')),
    on: readOn(given.get('on')),
    onGiven: given.has('on'),
    whenMatched: update === undefined ? choice(matched, WHEN_MATCHED, 'whenMatched') : 'pipeline',
    update,
    bindings,
    whenNotMatched: choice(given.get('whenNotMatched') ?? 'insert', WHEN_NOT_MATCHED, 'whenNotMatched'),
  };
  if (update !== undefined) {
    const names = new Map([...result.bindings.keys(), 'new'].map((name) => [name, null]));
    context.nested(update, 'lookup', names);
  }
  return result;
}

function readLet(
  given: Value | undefined,
  matched: Value,
  context: PipelineContext,
): MergeOutput['bindings'] {
  if (given !== undefined && !Array.isArray(matched)) {
    throw new StoreError(51199, "Cannot use 'let' variables with this 'whenMatched' mode");
  }
  const variables: Document =
    given === undefined
      ? new Map<string, Value>()
      : specDocument(given, 14, "$merge 'let' must be an object");
  return new Map(
    [...variables].map(([name, expression]) => {
      checkUserVariable(name);
      return [name, stageExpression(expression, context)];
    }),
  );
}

/** $out and $merge. */
export const OUTPUT_STAGES: StageTable = {
  $out: (spec, _context, name) => outputStage(name, readOut(spec)),
  $merge: (spec, context, name) => outputStage(name, readMerge(spec, context)),
};
