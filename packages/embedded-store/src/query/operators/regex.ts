import { BSONRegExp, BSONSymbol } from 'bson';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import type { Predicate } from '../ast';
import { compileRegex } from '../regex';
import { badValue, leaf, not, type FieldOperator } from './context';

/** Matching strings against a regular expression; a stored regular expression matches only its equal. */
export function regexPredicate(regex: BSONRegExp): Predicate {
  const compiled = compileRegex(regex.pattern, regex.options);
  const matches = (text: string): boolean => compiled.test(text);
  return {
    kind: 'regex',
    regex,
    test: (value) => {
      if (typeof value === 'string') return matches(value);
      if (value instanceof BSONSymbol) return matches(value.value);
      return (
        value instanceof BSONRegExp && value.pattern === regex.pattern && value.options === regex.options
      );
    },
  };
}

function toRegex(pattern: string, options: string): BSONRegExp {
  if (pattern.includes('\0'))
    throw new StoreError(51109, 'Regular expression cannot contain an embedded null byte');
  if (options.includes('\0')) {
    throw new StoreError(51110, 'Regular expression options string cannot contain an embedded null byte');
  }
  const strange = [...options].find((flag) => !'imsxu'.includes(flag));
  if (strange !== undefined) throw new StoreError(51108, `invalid flag in regex options: ${strange}`);
  return new BSONRegExp(pattern, options);
}

const $regex: FieldOperator = (path, argument, _context, siblings) =>
  leaf(path, regexPredicate(fromParts(argument, siblings)));

function fromParts(argument: Value, siblings: Document): BSONRegExp {
  const options = siblings.get('$options');
  if (options !== undefined && typeof options !== 'string') throw badValue('$options has to be a string');
  if (typeof argument === 'string') return toRegex(argument, options ?? '');
  if (!(argument instanceof BSONRegExp)) throw badValue('$regex has to be a string');
  if (argument.options === '') return toRegex(argument.pattern, options ?? '');
  if (options !== undefined && options !== '') {
    const optionsFirst = [...siblings.keys()].indexOf('$options') < [...siblings.keys()].indexOf('$regex');
    throw new StoreError(optionsFirst ? 51074 : 51075, 'options set in both $regex and $options');
  }
  return argument;
}

const $options: FieldOperator = (path, _argument, _context, siblings) => {
  if (!siblings.has('$regex')) throw badValue('$options needs a $regex');
  return leaf(path, regexPredicate(fromParts(siblings.get('$regex') as Value, siblings)));
};

const $not: FieldOperator = (path, argument, context) => {
  if (argument instanceof BSONRegExp) return not(leaf(path, regexPredicate(argument)));
  if (!(argument instanceof Map)) throw badValue('$not needs a regex or a document');
  if (argument.size === 0) throw badValue('$not cannot be empty');
  return not(context.operators(path, argument));
};

export const REGEX_OPERATORS: Readonly<Record<string, FieldOperator>> = { $regex, $options, $not };
