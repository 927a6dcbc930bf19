import { invalidRegex, literal, translateEscape } from './regex-escapes';

interface Flags {
  ignoreCase: boolean;
  multiline: boolean;
  dotAll: boolean;
  extended: boolean;
}

const POSIX: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\0-\\x7f',
  blank: '\\t ',
  cntrl: '\\0-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`\\{-~',
  space: '\\t-\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

/** Groups that mean the same in both dialects. */
const SAME_GROUPS = ['(?:', '(?=', '(?!', '(?<=', '(?<!'];

/**
 * Rewrites a Perl-compatible regular expression for JavaScript's `u` mode. What JavaScript lacks (possessive
 * quantifiers, atomic and conditional groups, recursion, flags in the middle) throws Location51091.
 */
class Translator {
  private at = 0;
  private output = '';

  constructor(
    private readonly pattern: string,
    private readonly flags: Flags,
  ) {}

  translate(): { source: string; flags: string } {
    this.leadingFlags();
    while (this.at < this.pattern.length) this.step();
    return { source: this.output, flags: this.flags.ignoreCase ? 'iu' : 'u' };
  }

  /** Settings at the very start apply to the whole expression. */
  private leadingFlags(): void {
    for (;;) {
      const found = /^(?:\(\*(?:UTF8?)\)|\(\?([imsx]+)\))/.exec(this.pattern.slice(this.at));
      if (found === null) return;
      this.at += found[0].length;
      for (const flag of found[1] ?? '') {
        if (flag === 'i') this.flags.ignoreCase = true;
        else if (flag === 'm') this.flags.multiline = true;
        else if (flag === 's') this.flags.dotAll = true;
        else this.flags.extended = true;
      }
    }
  }

  private step(): void {
    const character = String.fromCodePoint(this.pattern.codePointAt(this.at) as number);
    switch (character) {
      case '\\':
        this.escape();
        return;
      case '[':
        this.class();
        return;
      case '(':
        this.group();
        return;
      case '.':
        this.emit(this.flags.dotAll ? '[^]' : '[^\\n]', 1);
        return;
      case '^':
        this.emit(this.flags.multiline ? '(?:(?<![^])|(?<=\\n)(?=[^]))' : '(?<![^])', 1);
        return;
      case '$':
        this.emit(this.flags.multiline ? '(?=\\n|(?![^]))' : '(?=\\n?(?![^]))', 1);
        return;
      case '*':
      case '+':
      case '?':
      case '{':
        this.quantifier();
        return;
      case ')':
      case '|':
        this.emit(character, 1);
        return;
      default:
        this.plain(character);
    }
  }

  private plain(character: string): void {
    if (this.flags.extended && /[\t-\r ]/.test(character)) this.at++;
    else if (this.flags.extended && character === '#') this.skipTo('\n');
    else this.emit(literal(character), character.length);
  }

  private emit(text: string, length: number): void {
    this.output += text;
    this.at += length;
  }

  private skipTo(end: string): void {
    const found = this.pattern.indexOf(end, this.at);
    this.at = found < 0 ? this.pattern.length : found + 1;
  }

  private escape(): void {
    if (this.pattern.startsWith('\\Q', this.at)) {
      const end = this.pattern.indexOf('\\E', this.at);
      const text = this.pattern.slice(this.at + 2, end < 0 ? undefined : end);
      this.emit([...text].map(literal).join(''), text.length + (end < 0 ? 2 : 4));
      return;
    }
    if (this.pattern.startsWith('\\E', this.at)) {
      this.at += 2;
      return;
    }
    const escape = translateEscape(this.pattern, this.at);
    this.emit(escape.outside, escape.length);
  }

  private group(): void {
    const rest = this.pattern.slice(this.at);
    if (rest.startsWith('(?#')) {
      if (!rest.includes(')')) throw invalidRegex('missing ) after (?# comment');
      this.skipTo(')');
      return;
    }
    const same = SAME_GROUPS.find((opening) => rest.startsWith(opening));
    if (same !== undefined) {
      this.emit(same, same.length);
      return;
    }
    const named = /^\(\?(?:P?<(\w+)>|'(\w+)')/.exec(rest);
    if (named !== null) {
      this.emit(`(?<${named[1] ?? named[2]}>`, named[0].length);
      return;
    }
    const reference = /^\(\?P=(\w+)\)/.exec(rest);
    if (reference !== null) {
      this.emit(`\\k<${reference[1]}>`, reference[0].length);
      return;
    }
    if (rest.startsWith('(?') || rest.startsWith('(*')) {
      throw invalidRegex(`this kind of group is not supported: ${rest.slice(0, 4)}`);
    }
    this.emit('(', 1);
  }

  private quantifier(): void {
    const found = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(this.pattern.slice(this.at));
    if (found === null) {
      this.emit('\\{', 1);
      return;
    }
    const follower = this.pattern.charAt(this.at + found[0].length);
    if (follower === '+') throw invalidRegex('possessive quantifiers are not supported');
    const text = follower === '?' ? `${found[0]}?` : found[0];
    this.emit(text, text.length);
  }

  private class(): void {
    const negated = this.pattern.charAt(this.at + 1) === '^';
    this.at += negated ? 2 : 1;
    let content = '';
    let first = true;
    let afterClass = false;
    for (;;) {
      if (this.at >= this.pattern.length) throw invalidRegex('missing terminating ] for character class');
      if (this.pattern.charAt(this.at) === ']' && !first) break;
      const item = this.classItem();
      const isDash = item.raw === '-';
      const nextIsClass = isDash && this.classFollows();
      const nextEnds = this.pattern.charAt(this.at) === ']';
      // A dash beside a class, or at an end, is a literal.
      content += isDash && !(first || afterClass || nextIsClass || nextEnds) ? '-' : item.text;
      afterClass = item.isClass;
      first = false;
    }
    this.at++;
    this.output += `[${negated ? '^' : ''}${content}]`;
  }

  private classFollows(): boolean {
    const rest = this.pattern.slice(this.at);
    return /^\\[dDwWsShvpP]/.test(rest) || /^\[:\^?\w+:\]/.test(rest);
  }

  private classItem(): { raw: string; text: string; isClass: boolean } {
    const rest = this.pattern.slice(this.at);
    const posix = /^\[:(\^?)(\w+):\]/.exec(rest);
    if (posix !== null) {
      const members = POSIX[posix[2] as string];
      if (members === undefined || posix[1] === '^')
        throw invalidRegex('unknown or negated POSIX class name');
      this.at += posix[0].length;
      return { raw: posix[0], text: members, isClass: true };
    }
    if (rest.startsWith('\\')) {
      const escape = translateEscape(this.pattern, this.at);
      if (escape.inside === null) throw invalidRegex('escape sequence is invalid in character class');
      this.at += escape.length;
      return { raw: rest.slice(0, escape.length), text: escape.inside, isClass: escape.isClass };
    }
    const character = String.fromCodePoint(this.pattern.codePointAt(this.at) as number);
    this.at += character.length;
    return { raw: character, text: literal(character), isClass: false };
  }
}

/** The source and flags of the JavaScript expression that means the same as a Perl-compatible one. */
export function translateRegex(pattern: string, options: string): { source: string; flags: string } {
  return new Translator(pattern, {
    ignoreCase: options.includes('i'),
    multiline: options.includes('m'),
    dotAll: options.includes('s'),
    extended: options.includes('x'),
  }).translate();
}
