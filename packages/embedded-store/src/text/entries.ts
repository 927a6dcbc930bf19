import { createHash } from 'node:crypto';
import type { Document, Value } from '../bson/types';
import { splitPath } from '../bson/paths';
import { StoreError } from '../errors';
import { eachText } from './elements';
import type { TextIndex } from './text-index';
import { eachTerm } from './tokenizer';

/** Longer terms are stored as a prefix and a hash, because keys must be short. */
const MAX_TERM_BYTES = 256;
const KEPT_CHARACTERS = 48;

/** The entries of a document in a text index. */
export interface TextEntries {
  /** Values of the fields before the text part; a missing one is null. */
  prefix: Value[];
  /** The score of each term. */
  terms: Map<string, number>;
}

/**
 * The terms of a document with their scores. A term's score in one string is
 * weight × (1 + 1/2 + 1/4 + … for each time) × (1/2 + 1/2 × share of the string's words), and a tenth more
 * if it is the whole string; over several strings the scores add up.
 */
export function textTerms(index: TextIndex, document: Document): Map<string, number> {
  const scores = new Map<string, number>();
  const counts = new Map<string, number>();
  let total = 0;
  const countTerm = (term: string) => {
    counts.set(term, (counts.get(term) ?? 0) + 1);
    total++;
  };
  eachText(index, document, (text, language, weight) => {
    counts.clear();
    total = 0;
    eachTerm(text, language, countTerm);
    for (const [term, count] of counts) {
      const frequency = count === 1 ? 1 : 2 - 2 ** (1 - count);
      const share = (0.5 * count) / total + 0.5;
      const whole = text.length === term.length && text.toLowerCase() === term.toLowerCase() ? 1.1 : 1;
      const key = indexTerm(term);
      scores.set(key, (scores.get(key) ?? 0) + weight * frequency * share * whole);
    }
  });
  return scores;
}

/** The form of a term in the index. */
export function indexTerm(term: string): string {
  if (term.length * 3 <= MAX_TERM_BYTES || Buffer.byteLength(term) <= MAX_TERM_BYTES) return term;
  const hash = createHash('sha256').update(term).digest('hex');
  return `${[...term].slice(0, KEPT_CHARACTERS).join('')}\u0001${hash}`;
}

/** The terms of a document with the values beside them, arrays among which are refused. */
export function textEntries(index: TextIndex, document: Document): TextEntries {
  const prefix = textPrefixValues(index, document);
  // These are not part of the keys, but must not be arrays.
  for (const field of index.after) scalarAt(document, field);
  return { prefix, terms: textTerms(index, document) };
}

/** The values of the fields before the text part; a missing one is null. */
export function textPrefixValues(index: TextIndex, document: Document): Value[] {
  return index.before.map((field) => scalarAt(document, field));
}

/** The value of a field beside the text part; arrays on its path are refused. */
function scalarAt(document: Document, field: string): Value {
  let current: Value | undefined = document;
  const parts = field.includes('.') ? splitPath(field) : [field];
  for (const part of parts) {
    current = current instanceof Map ? current.get(part) : undefined;
    if (Array.isArray(current)) {
      throw new StoreError(16675, 'cannot have a multi-key as a prefix to a text index');
    }
  }
  return current ?? null;
}
