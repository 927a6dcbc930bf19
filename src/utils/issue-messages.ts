import type { z } from 'zod';

type RawIssue = z.core.$ZodRawIssue;

/** How many names of unknown fields a message repeats, and how many characters of each. */
const MAX_NAMES = 3;
const MAX_NAME_LENGTH = 40;

const KINDS: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

const FORMATS: Record<string, string> = {
  datetime: 'must be a time in UTC by ISO 8601, such as 2026-01-31T12:00:00Z',
  email: 'must be an e-mail address',
  url: 'must be a URL',
};

/**
 * Returns a message for an invalid value, for schemas without a message of their own. It is the `error` option of zod's
 * `parse`. The message continues a sentence that begins with the name of the field, and does not repeat the value.
 */
export function messageOfIssue(issue: RawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return tooSmall(issue);
    case 'too_big':
      return tooBig(issue);
    case 'invalid_format':
      return FORMATS[issue.format] ?? 'has the wrong format';
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return `must not have ${namesOf(issue.keys)}`;
    case 'invalid_value':
      return issue.input === undefined ? 'is required' : `must be ${oneOf(issue.values)}`;
    case 'invalid_key':
      return 'has a key that is not allowed';
    default:
      return issue.input === undefined ? 'is required' : 'is not valid';
  }
}

function tooSmall({ origin, minimum, inclusive }: RawIssue & { code: 'too_small' }): string {
  const least = inclusive === false ? `more than ${minimum}` : `at least ${minimum}`;
  if (origin === 'string') return minimum === 1 ? 'must not be empty' : `must have ${least} characters`;
  if (isCollection(origin)) return minimum === 1 ? 'must not be empty' : `must have ${least} items`;
  return `must be ${least}`;
}

function tooBig({ origin, maximum, inclusive }: RawIssue & { code: 'too_big' }): string {
  const most = inclusive === false ? `less than ${maximum}` : `at most ${maximum}`;
  if (origin === 'string') return `must have ${most} characters`;
  return isCollection(origin) ? `must have ${most} items` : `must be ${most}`;
}

function isCollection(origin: string): boolean {
  return ['array', 'set', 'map', 'object', 'record'].includes(origin);
}

function oneOf(values: readonly unknown[]): string {
  const names = values.map(String).join(', ');
  return values.length === 1 ? names : `one of ${names}`;
}

/** Lists names, which the caller chose: the list has a bounded length. */
function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).map((name) => JSON.stringify(name.slice(0, MAX_NAME_LENGTH)));
  const others = names.length - shown.length;
  return shown.join(', ') + (others > 0 ? ` and ${others} others` : '');
}
