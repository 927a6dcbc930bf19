import type { Document, Value } from '../bson/types';
import { typeName } from '../bson/compare';
import { StoreError } from '../errors';
import { describe, describeId } from './describe';
import { identical } from './identical';
import { isArrayIndex, parseUpdatePath } from './path';
import { REMOVED, addToTree, type Leaf, type ObjectNode } from './tree';

/**
 * Adds a `$rename`: a `$set` of the target and an `$unset` of the source, which use the document before the update
 * (no other operator may change either path).
 *
 * @throws StoreError BadValue for a target that is not another plain path.
 * @see https://www.mongodb.com/docs/manual/reference/operator/update/rename/
 */
export function addRename(root: ObjectNode, from: string, target: Value): void {
  if (typeof target !== 'string') {
    throw new StoreError(
      'BadValue',
      `The 'to' field for $rename must be a string: ${from}: ${describe(target)}`,
    );
  }
  if (target.includes('\0')) {
    throw new StoreError('BadValue', "The 'to' field for $rename cannot contain an embedded null byte");
  }
  requireFixed(from, 'source');
  requireFixed(target, 'destination');
  if (from === target) {
    throw new StoreError(
      'BadValue',
      `The source and target field for $rename must differ: ${from}: "${target}"`,
    );
  }
  if (`${target}.`.startsWith(`${from}.`) || `${from}.`.startsWith(`${target}.`)) {
    throw new StoreError(
      'BadValue',
      `The source and target field for $rename must not be on the same path: ${from}: "${target}"`,
    );
  }
  addToTree(root, from, removal(from));
  addToTree(root, target, arrival(from, target));
}

function requireFixed(path: string, role: string): void {
  if (parseUpdatePath(path).some((part) => part.kind !== 'field')) {
    throw new StoreError('BadValue', `The ${role} field for $rename may not be dynamic: ${path}`);
  }
}

function removal(from: string): Leaf {
  return {
    update(value, { document }) {
      return findSource(document, from) === undefined ? value : REMOVED;
    },
    ignoresBlockedPath: () => true,
  };
}

function arrival(from: string, target: string): Leaf {
  const arrive = (document: Document, throughArray: boolean): Value | undefined => {
    const value = findSource(document, from);
    if (value !== undefined && throughArray) {
      throw new StoreError(
        'BadValue',
        `The destination field cannot be an array element, '${target}' in doc with ${describeId(document)}`,
      );
    }
    return value;
  };
  return {
    update(value, { document, throughArray }) {
      const source = arrive(document, throughArray);
      return source === undefined || identical(source, value) ? value : source;
    },
    create: ({ document, throughArray }) => arrive(document, throughArray),
    ignoresBlockedPath: (document) => findSource(document, from) === undefined,
  };
}

/** The value to move; undefined if there is none. */
function findSource(document: Document, from: string): Value | undefined {
  let value: Value | undefined = document;
  let array: string | undefined;
  const parts = from.split('.');
  for (const [depth, part] of parts.entries()) {
    if (value instanceof Map) value = value.get(part);
    else if (Array.isArray(value) && isArrayIndex(part)) {
      array ??= parts[depth - 1];
      value = value[Number(part)];
    } else {
      throw new StoreError(
        'PathNotViable',
        `cannot use the part (${parts[depth - 1]} of ${from}) to traverse the element ` +
          `({${parts[depth - 1]}: ${describe(value)}}) of type ${typeName(value)}`,
      );
    }
    if (value === undefined) return undefined;
  }
  if (array !== undefined) {
    throw new StoreError(
      'BadValue',
      `The source field cannot be an array element, '${from}' in doc with ${describeId(document)} ` +
        `has an array field called '${array}'`,
    );
  }
  return value;
}
