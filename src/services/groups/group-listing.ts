import type { GroupDocument, GroupListing } from '../../models/group.model';

/** The most words of a group that are indexed. */
const MAX_WORDS = 100;
/** The most words of a query that are used. */
const MAX_QUERY_WORDS = 8;

/** Removes case and accents, so that a search for "cafe" also finds "Café". */
function fold(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

function wordsOf(text: string): string[] {
  return [...new Set(fold(text).split(/[^\p{L}\p{N}]+/u))].filter((word) => word !== '');
}

/** Returns the listing by which a group is found among the public ones; undefined if it is not listed there. */
export function listingOf({
  _id,
  name,
  description,
  visibility,
  archivedAt,
}: Omit<GroupDocument, 'listing'>): GroupListing | undefined {
  if (visibility !== 'public' || archivedAt) return undefined;
  return {
    place: `${fold(name)}\n${_id.toHexString()}`,
    words: wordsOf(`${name} ${description}`).slice(0, MAX_WORDS),
  };
}

/** Returns the words of a query, each of which is the beginning of a word. */
export function queryWordsOf(query: string): string[] {
  return wordsOf(query).slice(0, MAX_QUERY_WORDS);
}

/** Converts a position in the list to a cursor, and back. */
export const toListingCursor = ({ place }: GroupListing): string => Buffer.from(place).toString('base64url');
export const fromListingCursor = (cursor: string): string => Buffer.from(cursor, 'base64url').toString();
