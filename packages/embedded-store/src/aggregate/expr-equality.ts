import type { Document, Value } from '../bson/types';
import type { Variables } from './expression';

/**
 * A filter as the planner can use it: where its $expr requires a field to be equal to a known value, the same
 * condition is added in the query language, so that an index can serve it. Every document that the $expr matches
 * also matches the addition. Values that the two languages compare differently are left out.
 */
export function withEqualities(filter: Document, variables: Variables): Document {
  const found: Document[] = [];
  collect(filter, variables, found);
  return found.length === 0 ? filter : new Map<string, Value>([['$and', [...found, filter]]]);
}

function collect(filter: Document, variables: Variables, found: Document[]): void {
  for (const [key, value] of filter) {
    if (key === '$expr') collectExpression(value, variables, found);
    if (key === '$and' && Array.isArray(value)) {
      for (const clause of value) if (clause instanceof Map) collect(clause, variables, found);
    }
  }
}

function collectExpression(expression: Value, variables: Variables, found: Document[]): void {
  if (!(expression instanceof Map) || expression.size !== 1) return;
  const conjuncts = expression.get('$and');
  if (Array.isArray(conjuncts)) {
    for (const conjunct of conjuncts) collectExpression(conjunct, variables, found);
  }
  const sides = expression.get('$eq');
  if (!Array.isArray(sides) || sides.length !== 2) return;
  const [left, right] = sides as [Value, Value];
  const equality = equalityOf(left, right, variables) ?? equalityOf(right, left, variables);
  if (equality !== undefined) found.push(equality);
}

function equalityOf(field: Value, other: Value, variables: Variables): Document | undefined {
  if (typeof field !== 'string' || !field.startsWith('$') || field.startsWith('$$')) return undefined;
  const value = known(other, variables);
  if (value === undefined || value === null || Array.isArray(value)) return undefined;
  return new Map([[field.slice(1), new Map([['$eq', value]])]]);
}

/** The value of an expression that is a constant or a plain variable. */
function known(expression: Value, variables: Variables): Value | undefined {
  if (typeof expression === 'string' && expression.startsWith('$')) {
    return expression.startsWith('$$') ? variables.get(expression.slice(2)) : undefined;
  }
  if (expression instanceof Map) {
    return expression.size === 1 ? expression.get('$literal') : undefined;
  }
  return Array.isArray(expression) ? undefined : expression;
}
