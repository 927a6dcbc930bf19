/**
 * Returns the end of the range of all texts with a prefix: the prefix and the greatest code point.
 * Databases compare strings by code points.
 */
export function endOfPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}
