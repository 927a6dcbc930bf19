const SHORTCODE = /^:[a-z0-9_+-]{1,64}:$/;
// Made at run time: the compiler's target does not know the flag v, which sets of strings take.
const EMOJI = new RegExp('^\\p{RGI_Emoji}$', 'v');
/** Also those that a newer Unicode has and this runtime has not. */
const PICTOGRAPH = /^\p{Extended_Pictographic}$/u;
/** Asks for the coloured form of what can also be drawn like a letter. */
const AS_EMOJI = '\u{FE0F}';

/**
 * One emoji as it is stored, or a shortcode such as `:shipit:`: of the ways to write an emoji always the same one,
 * so that two people who mean the same one count together.
 * @returns undefined if the text is neither.
 */
export function normalizeEmoji(text: string): string | undefined {
  if (SHORTCODE.test(text) || EMOJI.test(text)) return text;
  const coloured = `${text}${AS_EMOJI}`;
  if (EMOJI.test(coloured)) return coloured;
  if (text.endsWith(AS_EMOJI) && EMOJI.test(text.slice(0, -1))) return text.slice(0, -1);
  return PICTOGRAPH.test(text) ? text : undefined;
}
