import { domainToASCII } from 'node:url';
import unhomoglyph from 'unhomoglyph';

/**
 * The keys by which names and addresses are compared. They are stored beside the typed form, under plain indexes:
 * docs/decisions/0037-canonical-keys.md.
 */

/** Invisible characters, which do not count in a comparison. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}]/gu;
/** White space, and two symbols that look blank: Braille pattern blank and musical null notehead. */
const BLANKS = /[\s\u2800\u{1D159}]+/gu;
/** Accents and vowel points, but not the vowel signs of Indic scripts, which are letters to their readers. */
const ACCENTS = /(?=\p{M})[\p{Script=Inherited}\p{Script=Hebrew}\p{Script=Arabic}]/gu;
/** A key is stable after two rounds; more are allowed for characters of future versions of Unicode. */
const MAX_ROUNDS = 6;

/** Folds case, one code point at a time: `toLowerCase` depends on the neighbours of a Greek sigma. */
function foldCase(text: string): string {
  let folded = '';
  for (const point of text) {
    // The dotless i is a letter of its own, although its capital is that of i.
    folded += point === 'ı' ? point : point.toLowerCase().toUpperCase().toLowerCase();
  }
  return folded;
}

/** Returns a text without invisible characters, in the compatibility form of Unicode, with single spaces. */
function plainForm(text: string): string {
  return text.replace(INVISIBLE, '').normalize('NFKC').replace(BLANKS, ' ').trim();
}

/** Applies a step until it changes nothing. */
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
 * Returns the canonical key of a name: two names with the same key are equal. It does not depend on case, on the encoding
 * of characters (composed, full-width, ligatures), on invisible characters, or on the width of spaces. Accents count.
 */
export function canonicalName(name: string): string {
  return untilStable(name, (text) => foldCase(plainForm(text)).normalize('NFKC'));
}

/**
 * Returns the search key of a text: its canonical key without accents. The key of a prefix of a name is a prefix of the
 * key of the name.
 */
export function searchKey(text: string): string {
  return canonicalName(text.normalize('NFKD').replace(ACCENTS, ''));
}

/** Returns the skeleton of UTS #39, section 4: texts that look alike have the same skeleton. */
function skeleton(text: string): string {
  return unhomoglyph(text.normalize('NFD')).normalize('NFD');
}

/** Returns the skeleton in folded case: `0`, whose skeleton is the capital O, gives the small one. */
function foldedSkeleton(text: string): string {
  return untilStable(text, (current) => foldCase(skeleton(current)));
}

/**
 * Returns the look-alike keys of a name that is unique regardless of case: two names look alike when they share a key.
 * Some letters look like others in one case only (a capital I like a small L, a Cyrillic В like a B), so there is a key
 * of the name in lower case and one of the name as typed.
 */
export function lookalikesOf(name: string): string[] {
  return [...new Set([foldedSkeleton(canonicalName(name)), foldedSkeleton(plainForm(name))])];
}

/**
 * Returns the look-alike keys of a display name. As `lookalikesOf`, but a capital I looks like a small L only where the
 * other name has one: "Ian" looks like "lan", and not like "Lan".
 */
export function shownLookalikesOf(name: string): string[] {
  const plain = plainForm(name);
  return [
    ...new Set([
      foldedSkeleton(canonicalName(name)),
      foldedSkeleton(plain.replaceAll('I', 'i')),
      // The prefix separates the case-sensitive keys from the others.
      `=${skeleton(plain)}`,
    ]),
  ];
}

/** The stored keys of a unique name, such as that of a group. */
export interface NameKeys {
  /** The canonical key, unique. */
  nameKey: string;
  /** The look-alike keys, each of them unique. */
  nameLookalikes: string[];
  /** The search key. */
  searchName: string;
}

export function nameKeysOf(name: string): NameKeys {
  return { nameKey: canonicalName(name), nameLookalikes: lookalikesOf(name), searchName: searchKey(name) };
}

/** The stored keys of a display name, which several accounts may share. */
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

/** The characters of a domain, with the ideographic full stop; any other would end the host name in a URL. */
const DOMAIN = /^[\p{L}\p{M}\p{N}.\u3002-]+$/u;

/**
 * Converts the domain of an address to ASCII (`user@bücher.example` → `user@xn--bcher-kva.example`), the form that mail
 * servers accept. A domain without such a form stays unchanged.
 */
export function withAsciiDomain(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1).normalize('NFKC');
  // An ASCII domain needs no conversion; a number would be read as an IPv4 address.
  if (at < 0 || /^\p{ASCII}*$/u.test(address.slice(at + 1)) || !DOMAIN.test(domain)) return address;
  const ascii = /^\p{ASCII}*$/u.test(domain) ? domain : domainToASCII(domain);
  return ascii === '' ? address : address.slice(0, at + 1) + ascii;
}

/**
 * Returns the canonical key of an e-mail address: two addresses with the same key are equal. Case and the form of the
 * domain do not count. Dots and plus parts do: only the mail server knows whether they matter.
 */
export function emailKey(address: string): string {
  return canonicalName(withAsciiDomain(plainForm(address)));
}
