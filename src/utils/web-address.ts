/** Longer ones are not parsed: the time that a host name takes grows with the square of its length. */
const MAX_LENGTH = 2048;

/**
 * Parses a URL that anybody may have written.
 * @param base what a relative one is resolved against.
 * @returns undefined for what is none, or has more than 2,048 UTF-16 code units.
 */
export function parseWebAddress(text: string, base?: string): URL | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  try {
    // Not URL.canParse: once it is compiled, Node 20 misreads strings with characters such as é in it.
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
