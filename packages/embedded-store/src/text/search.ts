import type { TextQuery } from './query';

/** The posting list of a term: the documents that contain it, with their scores for it. */
export type FetchPostings<Id> = (term: string) => Iterable<{ recordId: Id; score: number }>;

/**
 * The documents that have one of the terms of a search, each with the sum of its terms' scores. Reads the posting
 * lists only; if `query.needsDocument`, the caller has to check the documents by `matchText`.
 */
export function searchText<Id>(query: TextQuery, fetchPostings: FetchPostings<Id>): Map<Id, number> {
  const scores = new Map<Id, number>();
  for (const term of query.lookupTerms) {
    for (const { recordId, score } of fetchPostings(term)) {
      scores.set(recordId, (scores.get(recordId) ?? 0) + score);
    }
  }
  return scores;
}
