import { EJSON } from 'bson';
import fc from 'fast-check';
import { decode, encode, fromPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';
import { StoreError } from '../src/errors';
import { comparePathNames } from '../src/update/path';
import { compileUpdate } from '../src/update/update';

const now = new Date(0);
const name = fc.constantFrom('a', 'b', 'c', '0', '1', '2');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'));
const scalar = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom('x', 'y', null, true, 1.5));
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(name, tie('tree'), { maxKeys: 3 }),
  ),
}));
const plainDocument = fc.dictionary(name, tree, { maxKeys: 4 });
const operation = fc.oneof(
  fc.record({ operator: fc.constant('$set'), path, argument: tree }),
  fc.record({ operator: fc.constant('$unset'), path, argument: fc.constant('') }),
  fc.record({ operator: fc.constantFrom('$inc', '$mul'), path, argument: fc.integer({ min: -3, max: 3 }) }),
  fc.record({ operator: fc.constantFrom('$min', '$max'), path, argument: scalar }),
  fc.record({ operator: fc.constantFrom('$push', '$addToSet', '$pull'), path, argument: scalar }),
  fc.record({ operator: fc.constant('$pop'), path, argument: fc.constantFrom(1, -1) }),
);
interface Operation {
  operator: string;
  path: string;
  argument: unknown;
}

const text = (value: Value): string =>
  EJSON.stringify(
    value instanceof Map
      ? { fields: [...value].map(([key, item]) => [key, text(item)]) }
      : Array.isArray(value)
        ? value.map(text)
        : value,
    { relaxed: false },
  );

function asUpdate(operations: readonly Operation[]): Document {
  const update: Document = new Map();
  for (const { operator, path: at, argument } of operations) {
    const fields = (update.get(operator) ?? new Map()) as Document;
    update.set(operator, fields.set(at, fromPlain(argument)));
  }
  return update;
}

/** The updated document, or the code of the error. */
function attempt(document: Document, operations: readonly Operation[]): Document | number {
  try {
    return compileUpdate(asUpdate(operations)).apply(document, { insert: false, now });
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}

function comparePaths(a: Operation, b: Operation): number {
  const [left, right] = [a.path.split('.'), b.path.split('.')];
  const at = left.findIndex((part, i) => part !== right[i]);
  return at < 0 ? 0 : comparePathNames(left[at] ?? '', right[at] ?? '');
}

const overlap = (a: Operation, b: Operation) =>
  `${a.path}.`.startsWith(`${b.path}.`) || `${b.path}.`.startsWith(`${a.path}.`);

test('many operators do what each of them does alone, in the order of their paths', () => {
  fc.assert(
    fc.property(plainDocument, fc.array(operation, { minLength: 1, maxLength: 4 }), (plain, operations) => {
      const document = fromPlain(plain) as Document;
      const before = text(document);
      const result = attempt(document, operations);
      expect(text(document)).toBe(before);
      if (operations.some((a, i) => operations.slice(0, i).some((b) => overlap(a, b)))) {
        const same = operations.some((a, i) =>
          operations.slice(0, i).some((b) => a.path === b.path && a.operator === b.operator),
        );
        if (!same) expect(result).toBe(40);
        return;
      }
      let expected: Document | number = document;
      for (const step of [...operations].sort(comparePaths)) {
        if (typeof expected !== 'number') expected = attempt(expected, [step]);
      }
      if (typeof result === 'number' || typeof expected === 'number') expect(result).toBe(expected);
      else expect(text(result)).toBe(text(expected));
    }),
    { numRuns: 1000 },
  );
});

test('an update that gives the same bytes gives the same document, for operators that say so', () => {
  fc.assert(
    fc.property(plainDocument, operation, (plain, step) => {
      const document = fromPlain(plain) as Document;
      const result = attempt(document, [step]);
      if (typeof result === 'number') return;
      const bytes = Buffer.from(encode(result));
      expect(text(decode(bytes))).toBe(text(result));
      // MongoDB counts an $unset of an array's element as a change, also of one that is null already
      // (UnsetNode::updateExistingElement).
      const empties = step.operator === '$unset' && /\.\d+$/.test(step.path);
      if (!empties && bytes.equals(encode(document))) expect(result).toBe(document);
    }),
    { numRuns: 1000 },
  );
});
