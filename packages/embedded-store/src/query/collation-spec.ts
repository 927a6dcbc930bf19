import { Int32 } from 'bson';
import { integral } from '../bson/numbers';
import { typeName } from '../bson/compare';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';

interface ParsedCollation {
  locale: string;
  options: Intl.CollatorOptions;
  spec: Document;
}

const DEFAULTS: readonly [string, Value][] = [
  ['caseLevel', false],
  ['caseFirst', 'off'],
  ['strength', new Int32(3)],
  ['numericOrdering', false],
  ['alternate', 'non-ignorable'],
  ['maxVariable', 'punct'],
  ['normalization', false],
  ['backwards', false],
];
const BOOLEANS = new Set(['caseLevel', 'numericOrdering', 'normalization', 'backwards']);
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  caseFirst: ['upper', 'lower', 'off'],
  alternate: ['non-ignorable', 'shifted'],
  maxVariable: ['punct', 'space'],
};

/** Checks a collation document; undefined for locale "simple". */
export function parseCollation(spec: Document): ParsedCollation | undefined {
  const locale = spec.get('locale');
  if (locale === undefined) {
    throw new StoreError(40414, "BSON field 'collation.locale' is missing but a required field");
  }
  if (typeof locale !== 'string') throw wrongType('locale', locale, 'string');
  const filled: Document = new Map<string, Value>([['locale', locale], ...DEFAULTS]);
  for (const [name, value] of spec) {
    if (name === 'locale' || name === 'version') continue;
    if (!filled.has(name)) throw new StoreError(40415, `BSON field 'collation.${name}' is an unknown field.`);
    filled.set(name, checked(name, value));
  }
  if (locale === 'simple') {
    if (spec.size > 1) throw new StoreError('BadValue', 'The simple locale takes no other collation options');
    return undefined;
  }
  refuseUnsupported(filled);
  filled.set('version', '57.1');
  return { locale: bcp47(locale), options: optionsOf(filled), spec: filled };
}

function checked(name: string, value: Value): Value {
  if (name === 'strength') {
    const strength = integral(value);
    if (strength === undefined) throw wrongType(name, value, 'int');
    if (strength < 1n || strength > 5n) {
      throw new StoreError(
        'BadValue',
        `Enumeration value '${strength}' for field 'collation.strength' is not valid`,
      );
    }
    return new Int32(Number(strength));
  }
  if (BOOLEANS.has(name)) {
    if (typeof value !== 'boolean') throw wrongType(name, value, 'bool');
    return value;
  }
  if (typeof value !== 'string') throw wrongType(name, value, 'string');
  if (!CHOICES[name]?.includes(value)) {
    throw new StoreError(
      'BadValue',
      `Enumeration value '${value}' for field 'collation.${name}' is not a valid value.`,
    );
  }
  return value;
}

function wrongType(name: string, value: Value, wanted: string): StoreError {
  return new StoreError(
    'TypeMismatch',
    `BSON field 'collation.${name}' is the wrong type '${typeName(value)}', expected type '${wanted}'`,
  );
}

function strengthOf(spec: Document): number {
  return (spec.get('strength') as Int32).value;
}

/** Intl.Collator has three strengths, and adds case to the first one only. */
function refuseUnsupported(spec: Document): void {
  const unsupported =
    (strengthOf(spec) > 3 && 'strength above 3') ||
    (spec.get('caseLevel') === true && strengthOf(spec) === 2 && 'caseLevel with strength 2') ||
    (spec.get('backwards') === true && 'backwards') ||
    (spec.get('maxVariable') === 'space' && spec.get('alternate') === 'shifted' && 'maxVariable: "space"');
  if (unsupported !== false)
    throw new StoreError('BadValue', `Collation option is not supported: ${unsupported}`);
}

function optionsOf(spec: Document): Intl.CollatorOptions {
  const strength = strengthOf(spec);
  const caseFirst = spec.get('caseFirst') as string;
  const base = spec.get('caseLevel') === true ? 'case' : 'base';
  return {
    usage: 'sort',
    sensitivity: strength === 1 ? base : strength === 2 ? 'accent' : 'variant',
    numeric: spec.get('numericOrdering') === true,
    caseFirst: caseFirst === 'off' ? 'false' : (caseFirst as 'upper' | 'lower'),
    ignorePunctuation: spec.get('alternate') === 'shifted',
  };
}

/** ICU names locales as `de_AT@collation=phonebook`; Intl requires `de-AT-u-co-phonebk`. */
function bcp47(locale: string): string {
  const [name = '', keywords] = locale.split('@');
  const variant = keywords === undefined ? undefined : /^collation=(\w+)$/.exec(keywords)?.[1];
  const tag = name.replaceAll('_', '-');
  const type = variant === undefined ? '' : `-u-co-${VARIANTS[variant] ?? variant}`;
  let supported: string[] = [];
  try {
    supported = Intl.Collator.supportedLocalesOf([tag]);
  } catch {
    // A malformed tag throws an error; it is refused below like an unknown one.
  }
  if (supported.length === 0 || (keywords !== undefined && variant === undefined)) {
    throw new StoreError('BadValue', `Field 'locale' is invalid in: { locale: "${locale}" }`);
  }
  return tag + type;
}

const VARIANTS: Readonly<Record<string, string>> = {
  phonebook: 'phonebk',
  traditional: 'trad',
  dictionary: 'dict',
  pinyin: 'pinyin',
  stroke: 'stroke',
  search: 'search',
};
