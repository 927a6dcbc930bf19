/** Longer addresses are not parsed: parsing a host name takes quadratic time. */
const MAX_LENGTH = 2048;

/**
 * Parses a URL of unknown origin.
 * @param base the address against which a relative one is resolved.
 * @returns undefined if it is no URL, or has more than 2,048 UTF-16 code units.
 */
export function parseWebAddress(text: string, base?: string): URL | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  try {
    // Not URL.canParse: Node 20 misreads strings with characters such as é after the function has been optimised.
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
