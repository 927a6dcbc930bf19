import type { GroupDocument, GroupListing } from '../../models/group.model';

/** The most words that a group is found by. */
const MAX_WORDS = 100;
/** The most words of a search that count. */
const MAX_QUERY_WORDS = 8;

/** Text without regard to case and accents: who looks for "cafe" means "Café" as well. */
function fold(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

function wordsOf(text: string): string[] {
  return [...new Set(fold(text).split(/[^\p{L}\p{N}]+/u))].filter((word) => word !== '');
}

/** How a group is found among the public ones; undefined of one that is not shown there. */
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

/** What a search asks for: each is the beginning of a word. */
export function queryWordsOf(query: string): string[] {
  return wordsOf(query).slice(0, MAX_QUERY_WORDS);
}

/** A place in the list as clients hand it back, and the other way. */
export const toListingCursor = ({ place }: GroupListing): string => Buffer.from(place).toString('base64url');
export const fromListingCursor = (cursor: string): string => Buffer.from(cursor, 'base64url').toString();
