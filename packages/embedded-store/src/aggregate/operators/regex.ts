import { BSONRegExp, Int32 } from 'bson';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { compileRegex } from '../../query/regex';
import {
  type OperatorCompiler,
  type OperatorTable,
  isNullish,
  namedNodes,
  lazyNode,
  type Node,
} from '../scope';

/** One match of a regular expression. */
interface Found {
  match: string;
  index: number;
  captures: (string | undefined)[];
}

/** $regexFind, $regexFindAll, $regexMatch. Positions count code points. */
export const REGEX: OperatorTable = {
  $regexFind: regexOperator((text, regex) => {
    if (text === null) return null;
    const found = regex.exec(text);
    return found === null ? null : matchDocument(text, read(found));
  }),
  $regexFindAll: regexOperator((text, regex) =>
    text === null ? [] : [...text.matchAll(regex)].map((found) => matchDocument(text, read(found))),
  ),
  $regexMatch: regexOperator((text, regex) => text !== null && regex.test(text)),
};

function read(found: RegExpExecArray): Found {
  const [match, ...captures] = found;
  return { match, index: found.index, captures };
}

function matchDocument(text: string, { match, index, captures }: Found): Document {
  return new Map<string, Value>([
    ['match', match],
    ['idx', new Int32([...text.slice(0, index)].length)],
    ['captures', captures.map((capture) => capture ?? null)],
  ]);
}

/** An expression that matches nothing, for a pattern that is null. */
const NEVER = /(?!)/g;

function regexOperator(compute: (text: string | null, regex: RegExp) => Value): OperatorCompiler {
  return (argument, context, name) => {
    const { input, regex, options } = namedNodes(argument, context, name, {
      required: ['input', 'regex'],
      optional: ['options'],
      codes: { object: 51103, unknown: 31024, missing: missingCode(argument) },
    }) as { input: Node; regex: Node; options: Node | undefined };
    const constant = regex.constant && (options?.constant ?? true);
    const build = (scope: Parameters<Node['evaluate']>[0]): RegExp =>
      toRegex(regex.evaluate(scope), options?.evaluate(scope), name);
    const built = constant ? build({ root: undefined, slots: [] }) : undefined;
    return lazyNode((scope) => {
      const text = input.evaluate(scope);
      if (!isNullish(text) && typeof text !== 'string') {
        throw new StoreError(51104, `${name} needs 'input' to be of type string`);
      }
      const pattern = built ?? build(scope);
      pattern.lastIndex = 0;
      return compute(text ?? null, pattern);
    });
  };
}

function missingCode(argument: Value): number {
  return argument instanceof Map && argument.has('input') ? 31023 : 31022;
}

function toRegex(pattern: Value | undefined, options: Value | undefined, name: string): RegExp {
  if (!isNullish(pattern) && typeof pattern !== 'string' && !(pattern instanceof BSONRegExp)) {
    throw new StoreError(51105, `${name} needs 'regex' to be of type string or regex`);
  }
  if (!isNullish(options) && typeof options !== 'string') {
    throw new StoreError(51106, `${name} needs 'options' to be of type string`);
  }
  const ownOptions = pattern instanceof BSONRegExp ? pattern.options : '';
  if (ownOptions !== '' && !isNullish(options)) {
    throw new StoreError(
      51107,
      `${name}: found regex option(s) specified in both 'regex' and 'option' fields`,
    );
  }
  const flags = options ?? ownOptions;
  const bad = [...flags].find((flag) => !'imsx'.includes(flag));
  if (bad !== undefined) throw new StoreError(51108, `${name} invalid flag in regex options: ${bad}`);
  if (isNullish(pattern)) return NEVER;
  const source = typeof pattern === 'string' ? pattern : pattern.pattern;
  if (source.includes('\0')) {
    throw new StoreError(51109, `${name}: regular expression cannot contain an embedded null byte`);
  }
  return globalRegex(source, flags, name);
}

function globalRegex(source: string, options: string, name: string): RegExp {
  try {
    const regex = compileRegex(source, options);
    return new RegExp(regex.source, `${regex.flags}g`);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new StoreError(51111, `Invalid Regex in ${name}: ${error.message}`);
  }
}
