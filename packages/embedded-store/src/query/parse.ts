import { BSONRegExp } from 'bson';
import { typeName } from '../bson/compare';
import { integral } from '../bson/numbers';
import type { Document, Value } from '../bson/types';
import { compileExpression, type Variables } from '../aggregate/expression';
import { truthy } from '../aggregate/truth';
import { StoreError } from '../errors';
import { ALWAYS, conjunction, NEVER, type Node } from './ast';
import type { Collator } from './collation';
import { FIELD_OPERATORS } from './operators';
import { comparison } from './operators/comparison';
import { badValue, isOperatorDocument, leaf, type ParseContext } from './operators/context';
import { regexPredicate } from './operators/regex';
import { compileSchema } from './schema';

export interface ParseOptions {
  collator?: Collator | undefined;
  /** Constants of the command (`let`), for $expr. */
  variables?: Variables | undefined;
}

type Where = 'root' | 'conjunct' | 'nested';
type TopLevelOperator = (argument: Value, context: ParseContext, where: Where) => Node;

/** Parses a filter document into its tree. Throws MongoDB's parse errors. */
export function parseFilter(filter: Document, options: ParseOptions = {}): Node {
  const context: ParseContext = {
    collator: options.collator,
    variables: options.variables,
    filter: (inner) => parseDocument(inner, context, 'nested'),
    operators: (path, operators) => parseOperators(path, operators, context),
  };
  return parseDocument(filter, context, 'root');
}

function parseDocument(filter: Document, context: ParseContext, where: Where): Node {
  const nodes: Node[] = [];
  for (const [name, argument] of filter) {
    if (!name.startsWith('$')) {
      nodes.push(parseField(name, argument, context));
      continue;
    }
    const operator = TOP_LEVEL.get(name);
    if (operator !== undefined) nodes.push(operator(argument, context, where));
    else if (name === '$ref' || name === '$id' || name === '$db')
      nodes.push(parseField(name, argument, context));
    else
      throw badValue(
        `unknown top level operator: ${name}. If you are trying to negate an entire expression, use $nor.`,
      );
  }
  return conjunction(nodes);
}

function parseField(path: string, argument: Value, context: ParseContext): Node {
  if (isOperatorDocument(argument)) return parseOperators(path, argument, context);
  if (argument instanceof BSONRegExp) return leaf(path, regexPredicate(argument));
  return leaf(path, comparison('eq', argument, context.collator));
}

function parseOperators(path: string, operators: Document, context: ParseContext): Node {
  const nodes: Node[] = [];
  for (const [name, argument] of operators) {
    const operator = FIELD_OPERATORS.get(name);
    if (operator === undefined) throw badValue(`unknown operator: ${name}`);
    // $regex has read $options already.
    if (name === '$options' && operators.has('$regex')) continue;
    nodes.push(operator(path, argument, context, operators));
  }
  return conjunction(nodes);
}

function logical(kind: 'and' | 'or' | 'nor'): TopLevelOperator {
  return (argument, context, where) => {
    if (!Array.isArray(argument)) throw badValue(`$${kind} argument must be an array`);
    if (argument.length === 0) throw badValue(`$${kind} argument must be a non-empty array`);
    const inner = kind === 'and' && where !== 'nested' ? 'conjunct' : 'nested';
    const children = argument.map((item) => {
      if (!(item instanceof Map)) throw badValue(`$${kind} argument's entries must be objects`);
      return parseDocument(item, context, inner);
    });
    if (kind === 'and') return conjunction(children);
    return kind === 'or' && children.length === 1 ? (children[0] as Node) : { kind, children };
  };
}

const $expr: TopLevelOperator = (argument, context) => {
  const evaluate = compileExpression(argument, { collator: context.collator, variables: context.variables });
  return { kind: 'document', test: (document) => truthy(evaluate(document)) };
};

const $jsonSchema: TopLevelOperator = (argument) => {
  if (!(argument instanceof Map)) throw new StoreError('TypeMismatch', '$jsonSchema must be an object');
  return { kind: 'document', test: compileSchema(argument) };
};

const $text: TopLevelOperator = (argument, _context, where) => {
  if (!(argument instanceof Map)) throw badValue('$text expects an object');
  if (where === 'nested') throw badValue('$text is only allowed at the top level of a query');
  return { kind: 'text', clause: argument };
};

/** $alwaysTrue and $alwaysFalse accept the number 1 only. */
function constant(name: string, node: Node): TopLevelOperator {
  return (argument) => {
    if (integral(argument) === 1n) return node;
    throw new StoreError(
      'FailedToParse',
      `${name} must be an integer value of 1, found ${typeName(argument)}`,
    );
  };
}

const $where: TopLevelOperator = () => {
  throw badValue('no globalScriptEngine in $where parsing');
};

const TOP_LEVEL: ReadonlyMap<string, TopLevelOperator> = new Map(
  Object.entries({
    $and: logical('and'),
    $or: logical('or'),
    $nor: logical('nor'),
    $expr,
    $jsonSchema,
    $text,
    $where,
    $comment: () => ALWAYS,
    $alwaysTrue: constant('$alwaysTrue', ALWAYS),
    $alwaysFalse: constant('$alwaysFalse', NEVER),
  }),
);
