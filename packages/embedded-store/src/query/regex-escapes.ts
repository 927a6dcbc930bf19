import { StoreError } from '../errors';

export function invalidRegex(reason: string): StoreError {
  return new StoreError(51091, `Regular expression is invalid: ${reason}`);
}

const SYNTAX = new Set('^$\\.*+?()[]{}|/-');

/** A character as a literal, outside or inside a class, of a regular expression with the `u` flag. */
export function literal(character: string): string {
  return SYNTAX.has(character) ? (character === '-' ? '\\x2d' : `\\${character}`) : character;
}

function codePoint(code: number): string {
  if (code > 0x10ffff) throw invalidRegex('character code point value is too large');
  return `\\u{${code.toString(16)}}`;
}

/** An escape sequence, translated for use outside and (null if not possible) inside a class. */
export interface Escape {
  length: number;
  outside: string;
  inside: string | null;
  /** It matches several characters, so a range cannot begin or end with it. */
  isClass: boolean;
}

const SPACE = '\\t-\\r ';
const NOT_SPACE = '\\0-\\x08\\x0e-\\x1f!-\\u{10ffff}';
const HORIZONTAL = '\\t \\xa0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000';
const VERTICAL = '\\n-\\r\\x85\\u2028\\u2029';

/**
 * PCRE's classes are ASCII only, JavaScript's `\s` is not. `\v` is a class in PCRE and one character in JavaScript.
 */
const CLASSES: Readonly<Record<string, string>> = {
  d: '0-9',
  w: '0-9A-Za-z_',
  s: SPACE,
  h: HORIZONTAL,
  v: VERTICAL,
};
const NEGATED: Readonly<Record<string, string>> = {
  D: '\\0-/:-\\u{10ffff}',
  W: '\\0-/:-@\\[-\\^`\\{-\\u{10ffff}',
  S: NOT_SPACE,
};
const NEGATED_OUTSIDE_ONLY: Readonly<Record<string, string>> = { H: HORIZONTAL, V: VERTICAL, N: '\\n' };
const CHARACTERS: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
const ASSERTIONS: Readonly<Record<string, string>> = {
  A: '(?<![^])',
  z: '(?![^])',
  Z: '(?=\\n?(?![^]))',
  b: '\\b',
  B: '\\B',
  R: '(?:\\r\\n|[\\n-\\r\\x85\\u2028\\u2029])',
};
const CATEGORIES = /^(?:C[cfnos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?|Any)$/;

const single = (length: number, code: number): Escape => {
  const text = codePoint(code);
  return { length, outside: text, inside: text, isClass: false };
};

/** Translates the escape sequence that begins at `at` (its backslash). Throws Location51091. */
export function translateEscape(pattern: string, at: number): Escape {
  const letter = [...pattern.slice(at + 1, at + 3)][0];
  if (letter === undefined) throw invalidRegex('\\ at end of pattern');
  const rest = pattern.slice(at + 2);
  const positive = CLASSES[letter];
  if (positive !== undefined) return { length: 2, outside: `[${positive}]`, inside: positive, isClass: true };
  const negative = NEGATED[letter];
  if (negative !== undefined) return { length: 2, outside: `[${negative}]`, inside: negative, isClass: true };
  const excluded = NEGATED_OUTSIDE_ONLY[letter];
  if (excluded !== undefined) return { length: 2, outside: `[^${excluded}]`, inside: null, isClass: true };
  const code = CHARACTERS[letter];
  if (code !== undefined) return single(2, code);
  const assertion = ASSERTIONS[letter];
  if (assertion !== undefined) {
    return { length: 2, outside: assertion, inside: letter === 'b' ? '\\x08' : null, isClass: false };
  }
  if (letter === 'p' || letter === 'P') return property(letter, rest);
  if (/[0-9xock]|g/.test(letter)) return coded(letter, rest);
  if (/[A-Za-z]/.test(letter)) throw invalidRegex(`unrecognized character follows \\: ${letter}`);
  const text = literal(letter);
  return { length: 1 + letter.length, outside: text, inside: text, isClass: false };
}

function property(letter: string, rest: string): Escape {
  const found = /^\{(\^?)(\w+)\}|^([A-Z])/.exec(rest);
  if (found === null) throw invalidRegex('malformed \\P or \\p sequence');
  const name = (found[2] ?? found[3]) as string;
  const positive = (letter === 'p') !== (found[1] === '^');
  const value = CATEGORIES.test(name) ? name : `Script=${name}`;
  const text = `\\${positive ? 'p' : 'P'}{${value}}`;
  return { length: 2 + found[0].length, outside: text, inside: text, isClass: true };
}

/** Characters by number, and references to groups. */
function coded(letter: string, rest: string): Escape {
  if (letter === 'x') {
    const found = /^\{([0-9a-fA-F]+)\}|^[0-9a-fA-F]{0,2}/.exec(rest) as RegExpExecArray;
    const digits = found[1] ?? found[0];
    return single(2 + found[0].length, digits === '' ? 0 : parseInt(digits, 16));
  }
  if (letter === 'o') {
    const found = /^\{([0-7]+)\}/.exec(rest);
    if (found === null) throw invalidRegex('missing opening brace after \\o');
    return single(2 + found[0].length, parseInt(found[1] as string, 8));
  }
  if (letter === 'c') {
    const control = rest.charCodeAt(0);
    if (!(control >= 32 && control < 127))
      throw invalidRegex('\\c must be followed by a printable ASCII character');
    return single(3, rest.charAt(0).toUpperCase().charCodeAt(0) ^ 64);
  }
  if (letter === 'k') {
    const found = /^(?:\{(\w+)\}|<(\w+)>|'(\w+)')/.exec(rest);
    if (found === null) throw invalidRegex('\\k is not followed by a name');
    return reference(2 + found[0].length, `\\k<${found[1] ?? found[2] ?? found[3]}>`);
  }
  if (letter === 'g') {
    const found = /^(?:\{(\d+)\}|(\d+))/.exec(rest);
    if (found === null) throw invalidRegex('this kind of \\g is not supported');
    return reference(2 + found[0].length, `(?:\\${found[1] ?? found[2]})`);
  }
  if (letter === '0') {
    const digits = (/^[0-7]{0,2}/.exec(rest) as RegExpExecArray)[0];
    return single(2 + digits.length, parseInt(`0${digits}`, 8));
  }
  const digits = letter + (/^\d*/.exec(rest) as RegExpExecArray)[0];
  if (digits.length > 1) throw invalidRegex('references to groups above 9 are not supported');
  return reference(2, `(?:\\${digits})`);
}

function reference(length: number, outside: string): Escape {
  return { length, outside, inside: null, isClass: false };
}
