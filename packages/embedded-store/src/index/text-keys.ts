import type { Document, Value } from '../bson/types';
import { textEntries, textPrefixValues } from '../text/entries';
import type { TextIndex } from '../text/text-index';
import { MAX_KEY_BYTES } from './definition';
import { KeyWriter } from './encoding';

/** Bytes of the score at the end of a posting. */
export const SCORE_BYTES = 8;
/** A term with its tag and terminator, followed by the score. */
const TERM_BYTES = 300;
const writer = new KeyWriter();

/**
 * The keys of a document in a text index: for each term the values before the text part, the term, and the inverted
 * score, so that the highest comes first.
 */
export function textKeys(index: TextIndex, document: Document): Buffer[] {
  const { prefix, terms } = textEntries(index, document);
  writePrefix(prefix);
  const { length } = writer;
  const keys: Buffer[] = [];
  for (const [term, score] of terms) {
    writer.length = length;
    writer.component(term, false, TERM_BYTES);
    writer.raw(scoreBytes(score));
    keys.push(writer.take());
  }
  return keys;
}

/** The keys of a document in a text index, in the form in which the change buffer has them. */
export interface TextPostings {
  /** The encoded values before the text part, with which all its keys begin. */
  prefix: Buffer;
  /** The rest of each key, after its length in two bytes. */
  bytes: Buffer;
}

/** The postings of a document; undefined if it has no terms. */
export function textPostings(index: TextIndex, document: Document): TextPostings | undefined {
  const { prefix, terms } = textEntries(index, document);
  if (terms.size === 0) return undefined;
  const encoded = encodePrefix(prefix);
  writer.reset();
  for (const [term, score] of terms) {
    const at = writer.length;
    writer.byte(0);
    writer.byte(0);
    writer.component(term, false, TERM_BYTES);
    writer.raw(scoreBytes(score));
    writer.bytes.writeUInt16BE(writer.length - at - 2, at);
  }
  return { prefix: encoded, bytes: writer.take() };
}

/** Calls `visit` with the place of each key in `bytes` of TextPostings. */
export function eachPosting(bytes: Buffer, visit: (start: number, end: number) => void): void {
  for (let at = 0; at < bytes.length;) {
    const start = at + 2;
    at = start + bytes.readUInt16BE(at);
    visit(start, at);
  }
}

/** The encoded values of a document before the text part. */
export function textPrefix(index: TextIndex, document: Document): Buffer {
  return encodePrefix(textPrefixValues(index, document));
}

/** The encoded values before the text part of a search. */
export function encodePrefix(prefix: readonly Value[]): Buffer {
  writePrefix(prefix);
  return writer.take();
}

/** The prefix of the keys of all documents with a term; the score and the record id follow. */
export function postingPrefix(prefix: readonly Value[], term: string): Buffer {
  writePrefix(prefix);
  writer.component(term, false, TERM_BYTES);
  return writer.take();
}

function writePrefix(prefix: readonly Value[]): void {
  writer.reset();
  const limit = Math.floor((MAX_KEY_BYTES - TERM_BYTES) / Math.max(prefix.length, 1)) - 16;
  for (const value of prefix) writer.component(value, false, limit);
}

/** The scores of most terms of a document are the same. */
function scoreBytes(score: number): Buffer {
  if (score === lastScore) return scored;
  scored.writeDoubleBE(score);
  for (let i = 0; i < SCORE_BYTES; i++) scored[i] = 0xff - (scored[i] as number);
  lastScore = score;
  return scored;
}

/** The score in a key, at the offset `at`. */
export function readScore(key: Buffer, at: number): number {
  inverted.set(key.subarray(at, at + SCORE_BYTES));
  for (let i = 0; i < SCORE_BYTES; i++) inverted[i] = 0xff - (inverted[i] as number);
  return inverted.readDoubleBE();
}

const inverted = Buffer.alloc(SCORE_BYTES);
const scored = Buffer.alloc(SCORE_BYTES);
let lastScore: number | undefined;
