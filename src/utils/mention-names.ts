/** The most mentions in one text; further ones are plain text. */
export const MAX_MENTIONS = 50;

/** Code does not mention anybody. */
const CODE = /```[\s\S]*?(?:```|$)|`[^`\n]*`/g;
/** The form of usernames, not followed by another letter or digit. */
const MENTION = /(?<![\p{L}\p{N}._@/-])@([a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?)(?![\p{L}\p{N}])/giu;
const SHORTEST_NAME = 3;

/** Whether a text may contain mentions: a quick check. */
export function mayMention(text: string): boolean {
  return text.includes('@');
}

/**
 * Finds possible mentions in a text. A full stop after a name looks like a part of it, so each mention is returned as all
 * names that it can mean, in lower case and the longest first: `@ada.lovelace` as `ada.lovelace` and `ada`.
 */
export function mentionNames(text: string): string[][] {
  if (!mayMention(text)) return [];
  const found = new Map<string, string[]>();
  for (const [, name] of text.replace(CODE, ' ').matchAll(MENTION)) {
    if (found.size === MAX_MENTIONS) break;
    const longest = name!.toLowerCase();
    found.set(longest, readings(longest));
  }
  return [...found.values()].filter((names) => names.length > 0);
}

function readings(longest: string): string[] {
  const names: string[] = [];
  for (let name = longest; name.length >= SHORTEST_NAME; name = name.replace(/[._-]+[^._-]*$/, '')) {
    names.push(name);
    if (!/[._-]/.test(name)) break;
  }
  return names;
}
