import { BSONSymbol, Code, Int32, Timestamp } from 'bson';
import { isNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { isoDate } from '../date-format';
import { numberToString } from '../number-text';
import { type OperatorTable, fixed, isNullish, named, ranged, variadic } from '../scope';
import { position } from './array-parts';

/** A value as text where MongoDB converts implicitly ($toLower, $substrBytes …); null becomes "". */
export function coerceToString(value: Value | undefined): string {
  if (typeof value === 'string') return value;
  if (isNullish(value)) return '';
  if (value instanceof BSONSymbol) return value.value;
  if (value instanceof Code) return value.code;
  if (isNumber(value)) return numberToString(value);
  if (value instanceof Date) return isoDate(value);
  if (value instanceof Timestamp)
    return `Timestamp(${value.getHighBitsUnsigned()}, ${value.getLowBitsUnsigned()})`;
  throw new StoreError(16007, `can't convert from BSON type ${typeOf(value)} to String`);
}

/** The value as a string. Throws when it is not one. */
function stringArgument(value: Value | undefined, code: number, what: string): string {
  if (typeof value === 'string') return value;
  throw new StoreError(code, `${what} must be a string, but was of type: ${typeOf(value)}`);
}

/** MongoDB changes the case of ASCII letters only. */
function asciiCase(text: string, letters: RegExp, change: (letter: string) => string): string {
  return text.replace(letters, change);
}
const lower = (text: string): string => asciiCase(text, /[A-Z]+/g, (part) => part.toLowerCase());
const upper = (text: string): string => asciiCase(text, /[a-z]+/g, (part) => part.toUpperCase());

/** Operators on strings (the parts of strings are in substrings.ts, patterns in regex.ts). */
export const STRINGS: OperatorTable = {
  $concat: variadic((values) => {
    if (values.some(isNullish)) return null;
    return values
      .map((value) => {
        if (typeof value === 'string') return value;
        throw new StoreError(16702, `$concat only supports strings, not ${typeOf(value)}`);
      })
      .join('');
  }),
  $toLower: fixed(1, ([value]) => lower(coerceToString(value))),
  $toUpper: fixed(1, ([value]) => upper(coerceToString(value))),
  $strcasecmp: fixed(2, ([a, b]) => {
    const order = Buffer.compare(
      Buffer.from(upper(coerceToString(a))),
      Buffer.from(upper(coerceToString(b))),
    );
    return new Int32(Math.sign(order));
  }),
  $strLenBytes: fixed(
    1,
    ([value]) => new Int32(Buffer.byteLength(stringArgument(value, 34473, '$strLenBytes argument'))),
  ),
  $strLenCP: fixed(1, ([value]) => new Int32([...stringArgument(value, 34471, '$strLenCP argument')].length)),
  $split: fixed(2, ([value, separator]) => {
    if (isNullish(value) || isNullish(separator)) return null;
    const text = stringArgument(value, 40085, "$split's first argument");
    const by = stringArgument(separator, 40086, "$split's second argument");
    if (by === '') throw new StoreError(40087, '$split requires a non-empty separator');
    return text.split(by);
  }),
  $indexOfBytes: ranged(2, 4, (values, _context, name) => {
    const found = indexOf(values, name, 40091);
    if (found === null) return null;
    const bytes = Buffer.from(found.text);
    const end = Math.min(found.end ?? bytes.length, bytes.length);
    if (found.start > end) return new Int32(-1);
    const at = bytes.subarray(0, end).indexOf(found.wanted, found.start, 'utf8');
    return new Int32(at);
  }),
  $indexOfCP: ranged(2, 4, (values, _context, name) => {
    const found = indexOf(values, name, 40093);
    if (found === null) return null;
    const points = [...found.text];
    const end = Math.min(found.end ?? points.length, points.length);
    if (points.length === 0 && found.wanted === '') return new Int32(0);
    // The end limits where a match may start, not where it ends.
    let rest = points.slice(found.start).join('');
    for (let i = found.start; i < end; i++) {
      if (rest.startsWith(found.wanted)) return new Int32(i);
      rest = rest.slice((points[i] as string).length);
    }
    return new Int32(-1);
  }),
  $trim: trim(true, true),
  $ltrim: trim(true, false),
  $rtrim: trim(false, true),
  $replaceOne: replace((text, find, by) => {
    const at = text.indexOf(find);
    return at < 0 ? text : text.slice(0, at) + by + text.slice(at + find.length);
  }),
  $replaceAll: replace((text, find, by) => (find === '' ? spaced(text, by) : text.split(find).join(by))),
};

/** An empty search string is found before every code point and at the end. */
function spaced(text: string, by: string): string {
  return by + [...text].map((point) => point + by).join('');
}

function indexOf(
  values: (Value | undefined)[],
  name: string,
  code: number,
): { text: string; wanted: string; start: number; end: number | undefined } | null {
  if (isNullish(values[0])) return null;
  return {
    text: stringArgument(values[0], code, `${name} requires a string as the first argument, which`),
    wanted: stringArgument(values[1], code + 1, `${name} requires a string as the second argument, which`),
    start: values.length > 2 ? position(values[2], name) : 0,
    end: values.length > 3 ? position(values[3], name) : undefined,
  };
}

/** The characters that MongoDB's $trim treats as white space. */
const WHITESPACE = [
  ...'\0\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a',
];

function trim(left: boolean, right: boolean): OperatorTable[string] {
  return named(
    { required: ['input'], optional: ['chars'], codes: { object: 50696, unknown: 50694, missing: 50695 } },
    ({ input, chars }, given) => {
      if (isNullish(input) || (given('chars') && isNullish(chars))) return null;
      const points = [...stringArgument(input, 50699, 'trim requires its input to be a string: it')];
      const unwanted = new Set(
        given('chars')
          ? stringArgument(chars, 50700, "trim requires 'chars' to be a string: it")
          : WHITESPACE,
      );
      let from = 0;
      let to = points.length;
      while (left && from < to && unwanted.has(points[from] as string)) from++;
      while (right && to > from && unwanted.has(points[to - 1] as string)) to--;
      return points.slice(from, to).join('');
    },
  );
}

function replace(change: (text: string, find: string, by: string) => string): OperatorTable[string] {
  return named(
    {
      required: ['input', 'find', 'replacement'],
      codes: { object: 51751, unknown: 51750, missing: 51749 },
    },
    ({ input, find, replacement }) => {
      const checked = [
        [input, 51746, 'input'] as const,
        [find, 51745, 'find'] as const,
        [replacement, 51744, 'replacement'] as const,
      ].map(([value, code, what]) =>
        isNullish(value)
          ? null
          : stringArgument(value, code, `replace requires that '${what}' be a string: it`),
      );
      const [text, wanted, by] = checked;
      if (text === null || wanted === null || by === null) return null;
      return change(text as string, wanted as string, by as string);
    },
  );
}
