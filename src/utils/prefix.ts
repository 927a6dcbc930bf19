/**
 * The end of the range of all texts that begin with a prefix: the greatest code point comes after whatever follows it.
 * Databases compare strings by code points.
 */
export function endOfPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}
