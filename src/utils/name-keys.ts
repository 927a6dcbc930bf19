import { domainToASCII } from 'node:url';
import unhomoglyph from 'unhomoglyph';

/**
 * The keys by which names and addresses are compared. They are stored beside what people typed, under plain indexes:
 * docs/decisions/0037-canonical-keys.md.
 */

/** Characters that are not drawn: they have no part in what a name is. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}]/gu;
/** White space, and two symbols that are drawn as a blank: Braille pattern blank and musical null notehead. */
const BLANKS = /[\s\u2800\u{1D159}]+/gu;
/** Accents and vowel points, but not the vowel signs of Indic scripts, which are letters to those who read them. */
const ACCENTS = /(?=\p{M})[\p{Script=Inherited}\p{Script=Hebrew}\p{Script=Arabic}]/gu;
/** A key is stable after two rounds; more are there for characters that no version of Unicode has yet. */
const MAX_ROUNDS = 6;

/** Case folding, one code point at a time: `toLowerCase` looks at the neighbours of a Greek sigma. */
function foldCase(text: string): string {
  let folded = '';
  for (const point of text) {
    // The dotless i is a letter of its own, although its capital is that of i.
    folded += point === 'ı' ? point : point.toLowerCase().toUpperCase().toLowerCase();
  }
  return folded;
}

/** A text without what is not drawn, in the compatibility form of Unicode, with single spaces. */
function plainForm(text: string): string {
  return text.replace(INVISIBLE, '').normalize('NFKC').replace(BLANKS, ' ').trim();
}

/** Applies a step until it changes nothing more. */
function untilStable(text: string, step: (text: string) => string): string {
  let current = text;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = step(current);
    if (next === current) break;
    current = next;
  }
  return current;
}

/**
 * The canonical key of a name: two names with the same key are one name. It does not depend on case, on the form in
 * which characters are encoded (composed, full-width, ligatures), on invisible characters, or on how wide spaces
 * are. Accents count.
 */
export function canonicalName(name: string): string {
  return untilStable(name, (text) => foldCase(plainForm(text)).normalize('NFKC'));
}

/**
 * What a text is searched by: its canonical key without accents. The key of the beginning of a name is the
 * beginning of the key of the name.
 */
export function searchKey(text: string): string {
  return canonicalName(text.normalize('NFKD').replace(ACCENTS, ''));
}

/** The skeleton of UTS #39, section 4: two texts that look alike have the same one. */
function skeleton(text: string): string {
  return unhomoglyph(text.normalize('NFD')).normalize('NFD');
}

/** The skeleton without regard to case: of `0`, whose skeleton is the capital O, the small one. */
function foldedSkeleton(text: string): string {
  return untilStable(text, (current) => foldCase(skeleton(current)));
}

/**
 * The look-alike keys of a name that is unique without regard to case: two names look alike when they share one.
 * Letters look like others in one case only (a capital I like a small L, a Cyrillic В like a B), so there is a key
 * of the name in lower case and one of the name as it was typed.
 */
export function lookalikesOf(name: string): string[] {
  return [...new Set([foldedSkeleton(canonicalName(name)), foldedSkeleton(plainForm(name))])];
}

/**
 * The look-alike keys of a name that is only shown. As `lookalikesOf`, but a capital I is taken for a small L only
 * where the other name has one: "Ian" looks like "lan", and not like "Lan".
 */
export function shownLookalikesOf(name: string): string[] {
  const plain = plainForm(name);
  return [
    ...new Set([
      foldedSkeleton(canonicalName(name)),
      foldedSkeleton(plain.replaceAll('I', 'i')),
      // The sign keeps the keys in which case counts apart from the others.
      `=${skeleton(plain)}`,
    ]),
  ];
}

/** What is stored of a name that is unique, such as that of a group. */
export interface NameKeys {
  /** Its canonical key, unique. */
  nameKey: string;
  /** Its look-alike keys, each of them unique. */
  nameLookalikes: string[];
  /** What it is searched by. */
  searchName: string;
}

export function nameKeysOf(name: string): NameKeys {
  return { nameKey: canonicalName(name), nameLookalikes: lookalikesOf(name), searchName: searchKey(name) };
}

/** What is stored of a display name, which several accounts may have. */
export interface DisplayNameKeys {
  displayKey: string;
  displayLookalikes: string[];
  displaySearch: string;
}

export function displayNameKeysOf(displayName: string): DisplayNameKeys {
  return {
    displayKey: canonicalName(displayName),
    displayLookalikes: shownLookalikesOf(displayName),
    displaySearch: searchKey(displayName),
  };
}

/** What a domain is made of, with the ideographic full stop; everything else would end the host name in a URL. */
const DOMAIN = /^[\p{L}\p{M}\p{N}.\u3002-]+$/u;

/**
 * An address with its domain in ASCII (`user@bücher.example` → `user@xn--bcher-kva.example`), the form that mail
 * servers take. A domain that has no such form is left as it is.
 */
export function withAsciiDomain(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1).normalize('NFKC');
  // An ASCII domain is one already; what looks like a number would be read as an IPv4 address.
  if (at < 0 || /^\p{ASCII}*$/u.test(address.slice(at + 1)) || !DOMAIN.test(domain)) return address;
  const ascii = /^\p{ASCII}*$/u.test(domain) ? domain : domainToASCII(domain);
  return ascii === '' ? address : address.slice(0, at + 1) + ascii;
}

/**
 * The canonical key of an e-mail address: two addresses with the same key are one. Case and the form of the domain
 * do not count. Dots and what follows a plus sign do: whether they matter is up to the mail server.
 */
export function emailKey(address: string): string {
  return canonicalName(withAsciiDomain(plainForm(address)));
}
