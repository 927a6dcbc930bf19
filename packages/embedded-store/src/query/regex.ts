import { invalidRegex } from './regex-escapes';
import { translateRegex } from './regex-translate';

const CACHE_LIMIT = 500;
const cache = new Map<string, RegExp>();

/**
 * Compiles a regular expression of the Perl-compatible dialect that MongoDB uses. Flags: i, m, s, x, u. Throws
 * Location51091 for an invalid expression, and for features that JavaScript lacks.
 */
export function compileRegex(pattern: string, options: string): RegExp {
  const id = `${options}/${pattern}`;
  let compiled = cache.get(id);
  if (compiled === undefined) {
    const { source, flags } = translateRegex(pattern, options);
    try {
      compiled = new RegExp(source, flags);
    } catch (error) {
      throw invalidRegex((error as Error).message);
    }
    if (cache.size >= CACHE_LIMIT) cache.clear();
    cache.set(id, compiled);
  }
  return compiled;
}

/** The prefix of all matches of a regular expression. */
export interface LiteralPrefix {
  readonly text: string;
  /** The expression requires nothing but this prefix. */
  readonly complete: boolean;
}

const LITERAL = /^[\p{L}\p{N}\s_\-@#%&=:;,'"<>/!~`]$/u;
const QUANTIFIERS = new Set(['*', '?', '{']);

/**
 * The prefix of all matches of an expression, if it is anchored at the start and its structure shows the prefix;
 * undefined otherwise.
 */
export function literalPrefix(pattern: string, options: string): LiteralPrefix | undefined {
  if (/[imx]/.test(options) || pattern.includes('|')) return undefined;
  const anchor = pattern.startsWith('^') ? 1 : pattern.startsWith('\\A') ? 2 : 0;
  if (anchor === 0) return undefined;
  const units = [...pattern.slice(anchor)];
  let text = '';
  let i = 0;
  while (i < units.length) {
    const unit = units[i] as string;
    const escaped = unit === '\\' && i + 1 < units.length && /^[^\p{L}\p{N}]$/u.test(units[i + 1] as string);
    const literal = escaped ? (units[i + 1] as string) : unit;
    if (!escaped && !LITERAL.test(unit)) break;
    const next = i + (escaped ? 2 : 1);
    if (QUANTIFIERS.has(units[next] ?? '')) return { text, complete: false };
    text += literal;
    i = next;
  }
  const rest = units.slice(i).join('');
  return { text, complete: rest === '' || rest === '.*' };
}
