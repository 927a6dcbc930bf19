/** Letters of joining scripts, where ZERO WIDTH NON-JOINER changes their shape. */
const JOINING =
  '[\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Mandaic}\\p{Script=Mongolian}\\p{Script=Nko}' +
  '\\p{Script=Adlam}\\p{Script=Manichaean}\\p{Script=Hanifi_Rohingya}\\p{Script=Sogdian}]';
/** The signs of Indic and related scripts that join consonants (canonical combining class 9). */
const VIRAMA =
  '[\\u094D\\u09CD\\u0A4D\\u0ACD\\u0B4D\\u0BCD\\u0C4D\\u0CCD\\u0D3B\\u0D3C\\u0D4D\\u0DCA\\u1039\\u103A\\u17D2' +
  '\\u1A60\\u1B44\\u1BAA\\u1BAB\\uA806\\uA8C4\\uA9C0\\uAAF6\\uABED\\u{11046}\\u{110B9}\\u{11133}\\u{11134}' +
  '\\u{111C0}\\u{11235}\\u{112EA}\\u{1134D}\\u{11442}\\u{114C2}\\u{115BF}\\u{1163F}\\u{116B6}\\u{1193E}]';

/**
 * Invisible characters that change the appearance, and so belong to a name: joiners between joining letters (RFC 5892,
 * appendix A.1 and A.2; UAX #31, section 2.3.1) and in emoji sequences, variation selectors after characters with
 * variants, and the tags of flags.
 */
const MEANINGFUL = new RegExp(
  [
    // Persian and other words in which a letter keeps its final form.
    `(?<=${JOINING}\\p{M}*)[\\u200C\\u200D](?=${JOINING})`,
    // Indic conjuncts and half forms.
    `(?<=${VIRAMA})[\\u200C\\u200D]`,
    `(?<=\\p{L}\\p{M}*)\\u200D(?=${VIRAMA})`,
    // Families and other emoji sequences.
    '(?<=\\p{Extended_Pictographic}\\uFE0F?\\p{Emoji_Modifier}?)\\u200D(?=\\p{Extended_Pictographic})',
    '(?<=[\\p{Emoji}\\p{Script=Han}])[\\uFE00-\\uFE0F]',
    '(?<=\\p{Script=Han})[\\u{E0100}-\\u{E01EF}]',
    '(?<=\\p{Script=Mongolian})[\\u180B-\\u180D\\u180F]',
    '(?<=\\u{1F3F4})[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{1,6}\\u{E007F}',
  ].join('|'),
  'gu',
);
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\p{Zl}\p{Zp}\uFFF9-\uFFFC]/u;
const UNASSIGNED = /[\p{Cn}\p{Co}\p{Cs}]/u;
/** A visible character: neither a blank nor a mark. */
const VISIBLE = /(?![\u2800\u{1D159}])[\p{L}\p{N}\p{P}\p{S}]/u;
/** UTS #39, section 5.4: no more than four marks in a row, and none twice. */
const STACKED_MARKS = /[\p{Mn}\p{Me}]{5}|([\p{Mn}\p{Me}])\1/u;

/**
 * Returns why a text is not allowed as a name, as the continuation of "name: "; undefined if it is allowed. Takes linear
 * time.
 */
export function faultOfName(name: string): string | undefined {
  if (UNASSIGNED.test(name)) return 'must not contain private or unassigned characters';
  if (INVISIBLE.test(name.replace(MEANINGFUL, ''))) {
    return 'must not contain invisible, control or direction-changing characters';
  }
  if (!VISIBLE.test(name)) return 'must contain a visible character';
  if (/^\p{M}/u.test(name)) return 'must not begin with a combining mark';
  if (STACKED_MARKS.test(name.normalize('NFD'))) return 'must not stack combining marks';
  return undefined;
}
