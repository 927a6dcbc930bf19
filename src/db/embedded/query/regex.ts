import { StoreError } from '../errors';

/**
 * Compiles a regular expression of the PCRE dialect that MongoDB uses. Flags: i, m, s, x, u.
 * Throws Location51091 for an invalid expression.
 */
export function compileRegex(pattern: string, options: string): RegExp {
  const flags = [...new Set(options)].filter((flag) => 'ims'.includes(flag)).join('');
  try {
    return new RegExp(pattern, `${flags}u`);
  } catch {
    try {
      return new RegExp(pattern, flags);
    } catch (error) {
      throw new StoreError(51091, `Regular expression is invalid: ${(error as Error).message}`);
    }
  }
}
