/** One page of a list. */
export interface Page<Item> {
  items: Item[];
  /** Pass it back to get the next page; null on the last one. */
  nextCursor: string | null;
}

/**
 * Cuts a page from the rows of a query for `limit + 1` rows: the extra row only shows that there is a next page.
 */
export function cutPage<Row>(rows: Row[], limit: number, cursorOf: (last: Row) => string): Page<Row> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}
