import type { Document } from '../bson/types';

/** What is known of a document beside its fields. */
interface Metadata {
  textScore?: number | undefined;
}

const metadata = new WeakMap<Document, Metadata>();

/** Notes the score that a text search gave a document, for { $meta: 'textScore' } further on. */
export function setTextScore(document: Document, score: number): void {
  metadata.set(document, { textScore: score });
}

/** The text score of a document, if it was found by a text search. */
export function textScoreOf(document: Document): number | undefined {
  return metadata.get(document)?.textScore;
}

/** Lets a document that was made from another one keep what is known of that. */
export function keepMetadata(from: Document, to: Document): Document {
  const known = metadata.get(from);
  if (known !== undefined) metadata.set(to, known);
  return to;
}
