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

/** One entry of a text index. */
export interface TextEntry {
  /** Values of the fields before the text part; a missing one is null. */
  prefix: Value[];
  term: string;
  score: number;
  /** Values of the fields after the text part; a missing one is null. */
  suffix: Value[];
}

/**
 * The terms of a document with their scores. A term's score in one string is
 * weight × (1 + 1/2 + 1/4 + … for each time) × (1/2 + 1/2 × share of the string's words), and a tenth more
 * if it is the whole string; over several strings the scores add up.
 */
export function textTerms(index: TextIndex, document: Document): Map<string, number> {
  const scores = new Map<string, number>();
  eachText(index, document, (text, language, weight) => {
    const counts = new Map<string, number>();
    let total = 0;
    eachTerm(text, language, (term) => {
      counts.set(term, (counts.get(term) ?? 0) + 1);
      total++;
    });
    for (const [term, count] of counts) {
      const frequency = 2 - 2 ** (1 - count);
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

/** The entries of a document: one for each term. */
export function textIndexEntries(index: TextIndex, document: Document): TextEntry[] {
  const prefix = textPrefixValues(index, document);
  const suffix = index.after.map((field) => scalarAt(document, field));
  return [...textTerms(index, document)].map(([term, score]) => ({ prefix, term, score, suffix }));
}

/** The values of the fields before the text part; a missing one is null. */
export function textPrefixValues(index: TextIndex, document: Document): Value[] {
  return index.before.map((field) => scalarAt(document, field));
}

/** The value of a field beside the text part; arrays on its path are refused. */
function scalarAt(document: Document, field: string): Value {
  let current: Value | undefined = document;
  for (const part of splitPath(field)) {
    current = current instanceof Map ? current.get(part) : undefined;
    if (Array.isArray(current)) {
      throw new StoreError(16675, 'cannot have a multi-key as a prefix to a text index');
    }
  }
  return current ?? null;
}
