import type { Document } from '../bson/types';

/** Metadata of a document: what is known besides its fields. */
interface Metadata {
  textScore?: number | undefined;
}

const metadata = new WeakMap<Document, Metadata>();

/** Records the score of a document in a text search, for { $meta: 'textScore' } in later stages. */
export function setTextScore(document: Document, score: number): void {
  metadata.set(document, { textScore: score });
}

/** The text score of a document, if it was found by a text search. */
export function textScoreOf(document: Document): number | undefined {
  return metadata.get(document)?.textScore;
}

/** Copies the metadata of a document to one that was made from it. */
export function keepMetadata(from: Document, to: Document): Document {
  const known = metadata.get(from);
  if (known !== undefined) metadata.set(to, known);
  return to;
}
