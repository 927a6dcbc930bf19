const MAX_LENGTH = 200;

/**
 * Says what an error is and where it was made, without what differs from one occurrence to the next, so without anything
 * that a caller has sent. At most 200 characters of its message are kept.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /\n {4}at (.*?)(?: \(|\n|$)/.exec(error.stack ?? '')?.[1] ?? '';
  return `${error.name}: ${withoutDetails(error.message)}${place && ` at ${withoutDetails(place)}`}`;
}

/** Leaves out quoted text, objects, addresses, paths, numbers and whatever looks like a token. */
function withoutDetails(text: string): string {
  return text
    .slice(0, 2000)
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, '"…"')
    .replace(/\{[^{}]*\}/g, '{…}')
    .replace(/\S+/g, (word) => (word.length >= 25 || /[@/\\]/.test(word) ? '…' : word))
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b|\d+/gi, '#')
    .slice(0, MAX_LENGTH);
}
