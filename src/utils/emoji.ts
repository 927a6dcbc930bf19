const SHORTCODE = /^:[a-z0-9_+-]{1,64}:$/;
// Constructed at run time: the compiler's target does not know the flag v, which properties of strings require.
const EMOJI = new RegExp('^\\p{RGI_Emoji}$', 'v');
/** Also matches emoji of a newer Unicode version than that of the runtime. */
const PICTOGRAPH = /^\p{Extended_Pictographic}$/u;
/** The variation selector that requests the coloured form of a character. */
const AS_EMOJI = '\u{FE0F}';

/**
 * Returns one emoji in the form in which it is stored, or a shortcode such as `:shipit:`. All encodings of an emoji give
 * the same form, so that equal reactions are counted together.
 * @returns undefined if the text is neither.
 */
export function normalizeEmoji(text: string): string | undefined {
  if (SHORTCODE.test(text) || EMOJI.test(text)) return text;
  const coloured = `${text}${AS_EMOJI}`;
  if (EMOJI.test(coloured)) return coloured;
  if (text.endsWith(AS_EMOJI) && EMOJI.test(text.slice(0, -1))) return text.slice(0, -1);
  return PICTOGRAPH.test(text) ? text : undefined;
}
