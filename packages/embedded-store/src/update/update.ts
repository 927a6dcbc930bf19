import type { Document, Value } from '../bson/types';
import { typeName } from '../bson/compare';
import { StoreError } from '../errors';
import { applyTree } from './apply';
import { compileArrayFilters } from './array-filters';
import { describe } from './describe';
import { identical } from './identical';
import { MODIFIERS } from './modifiers';
import { compileUpdatePipeline } from './pipeline';
import { addRename } from './rename';
import { applyToBytes, type FieldLeaves } from './raw-update';
import { replaceDocument } from './replacement';
import { simpleLeaves } from './simple';
import { addToTree, sortTree, type ObjectNode, type UpdateNode } from './tree';
import type { Update, UpdateOptions } from './types';

export type { Update } from './types';

/**
 * Compiles an update: a document of update operators, a replacement, or an aggregation pipeline.
 *
 * @throws StoreError FailedToParse, BadValue, ConflictingUpdateOperators …
 * @see https://www.mongodb.com/docs/manual/reference/operator/update/
 */
export function compileUpdate(update: Document | readonly Value[], options: UpdateOptions = {}): Update {
  const filters = options.arrayFilters ?? [];
  if (!(update instanceof Map)) {
    if (filters.length > 0) {
      throw new StoreError('FailedToParse', 'arrayFilters may not be specified for pipeline-style updates');
    }
    return { replacement: false, positional: false, ...compileUpdatePipeline(update, options) };
  }
  return update.keys().next().value?.startsWith('$')
    ? compileOperators(update, options)
    : compileReplacement(update, options);
}

function compileReplacement(replacement: Document, { multi }: UpdateOptions): Update {
  if (multi) {
    throw new StoreError('FailedToParse', 'multi update is not supported for replacement-style update');
  }
  return {
    replacement: true,
    positional: false,
    apply: (document, { now }) => replaceDocument(document, replacement, now),
  };
}

function compileOperators(update: Document, options: UpdateOptions): Update {
  const { arrayFilters, collator } = options;
  const leaves = arrayFilters === undefined ? simpleLeaves(update, { collator }) : undefined;
  if (leaves) return simpleUpdate(leaves);
  const filters = compileArrayFilters(arrayFilters ?? [], collator);
  const unused = new Set(filters.identifiers);
  const root: ObjectNode = { kind: 'object', children: new Map() };
  let positional = false;
  for (const [operator, fields] of update) {
    for (const [path, argument] of operands(operator, fields)) {
      if (operator === '$rename') {
        addRename(root, path, argument);
        continue;
      }
      const leaf = modifier(operator)(path, argument, { collator });
      for (const part of addToTree(root, path, leaf)) {
        if (part.kind === 'positional') positional = true;
        if (part.kind !== 'elements' || part.identifier === '') continue;
        requireFilter(filters.identifiers, part.identifier, path);
        unused.delete(part.identifier);
      }
    }
  }
  const [leftOver] = unused;
  if (leftOver !== undefined) {
    throw new StoreError(
      'FailedToParse',
      `The array filter for identifier '${leftOver}' was not used in the update ${describe(update)}`,
    );
  }
  sortTree(root);
  return {
    replacement: false,
    positional,
    apply(document, context) {
      const { insert, now } = context;
      const environment = { document, insert, now, positional: context.positional, passes: filters.passes };
      const result = applyTree(root, environment);
      requireSameId(document, result);
      return result;
    },
  };
}

/** An update whose paths are all top-level fields. */
function simpleUpdate(leaves: FieldLeaves): Update {
  const update: Update = {
    replacement: false,
    positional: false,
    apply(document, { insert, now }) {
      const children = new Map<string, UpdateNode>();
      for (const [name, leaf] of leaves) children.set(name, { kind: 'leaf', leaf });
      const environment = { document, insert, now, positional: undefined, passes: () => false };
      const result = applyTree({ kind: 'object', children }, environment);
      requireSameId(document, result);
      return result;
    },
  };
  // A change of `_id` has to be refused.
  if (!leaves.has('_id')) update.applyToBytes = (bytes, now) => applyToBytes(leaves, bytes, now);
  return update;
}

function modifier(operator: string) {
  const found = MODIFIERS.get(operator);
  if (found) return found;
  throw new StoreError(
    'FailedToParse',
    `Unknown modifier: ${operator}. Expected a valid update modifier or pipeline-style update specified as an array`,
  );
}

/** The fields under an operator. MongoDB 4.1.5 refuses an operator without fields; 5.0 and later ignore it. */
function operands(operator: string, fields: Value): Document {
  if (operator !== '$rename') modifier(operator);
  if (!(fields instanceof Map)) {
    throw new StoreError(
      'FailedToParse',
      `Modifiers operate on fields but we found type ${typeName(fields)} instead. For example: ` +
        `{$mod: {<field>: ...}} not {${operator}: ${describe(fields)}}`,
    );
  }
  if (fields.size === 0) {
    throw new StoreError(
      'FailedToParse',
      `'${operator}' is empty. You must specify a field like so: {${operator}: {<field>: ...}}`,
    );
  }
  return fields;
}

function requireFilter(identifiers: readonly string[], identifier: string, path: string): void {
  if (identifiers.includes(identifier)) return;
  throw new StoreError('BadValue', `No array filter found for identifier '${identifier}' in path '${path}'`);
}

function requireSameId(before: Document, after: Document): void {
  const id = before.get('_id');
  if (id === undefined || before === after || identical(id, after.get('_id'))) return;
  throw new StoreError(
    'ImmutableField',
    "Performing an update on the path '_id' would modify the immutable field '_id'",
  );
}
