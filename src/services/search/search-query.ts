import { AppError } from '../../utils/errors';
import { wordsOf } from '../../utils/words';

const FEATURES = ['link', 'file', 'image', 'reaction', 'pin'] as const;
export type Feature = (typeof FEATURES)[number];

/** A parsed search query. A message must match every part of it. */
export interface ParsedQuery {
  /** Folded words; each may be a prefix of a word in the message. */
  words: string[];
  /** Phrases: folded words in sequence. */
  phrases: string[][];
  /** Folded words that the message must not contain. */
  excluded: string[];
  excludedPhrases: string[][];
  /** The name of a user, or `me`. */
  from: string | undefined;
  /** The name or id of a channel. */
  in: string | undefined;
  has: Feature[];
  /** Sent at this time or later. */
  since: Date | undefined;
  /** Sent earlier than this. */
  until: Date | undefined;
}

/** The maximum number of words, phrases and exclusions together. */
const MAX_TERMS = 20;
const DAY_MS = 24 * 60 * 60 * 1000;

/** A part of a query: `-"a phrase"`, `"a phrase"`, `name:"a value"`, `name:value`, `-word`, `word`. */
const PARTS = /(-?)(?:([a-z]+):)?(?:"([^"]*)"?|([^\s"]+))/giu;
const OPERATORS: readonly string[] = ['from', 'in', 'has', 'before', 'after'];

/** Parses a search query. @throws AppError validation_failed for an invalid value of an operator, or too many terms */
export function parseSearch(text: string): ParsedQuery {
  const query: ParsedQuery = {
    words: [],
    phrases: [],
    excluded: [],
    excludedPhrases: [],
    from: undefined,
    in: undefined,
    has: [],
    since: undefined,
    until: undefined,
  };
  for (const [whole, minus, name, quoted, plain] of text.matchAll(PARTS)) {
    const operator = name?.toLowerCase();
    if (operator !== undefined && minus === '' && OPERATORS.includes(operator)) {
      readOperator(query, operator, (quoted ?? plain ?? '').trim());
    } else {
      readWords(query, minus === '-', name === undefined ? quoted : undefined, whole);
    }
  }
  const { words, phrases, excluded, excludedPhrases } = query;
  if (words.length + excluded.length + phrases.length + excludedPhrases.length > MAX_TERMS) {
    throw invalid(`must not have more than ${MAX_TERMS} words and phrases`);
  }
  return query;
}

function readWords(query: ParsedQuery, isExcluded: boolean, quoted: string | undefined, whole: string): void {
  const words = wordsOf(quoted ?? whole).map(({ folded }) => folded);
  if (words.length === 0) return;
  if (quoted !== undefined) (isExcluded ? query.excludedPhrases : query.phrases).push(words);
  // A minus before a text of several words excludes them as a phrase: -e-mail.
  else if (isExcluded && words.length > 1) query.excludedPhrases.push(words);
  else (isExcluded ? query.excluded : query.words).push(...words);
}

function readOperator(query: ParsedQuery, operator: string, value: string): void {
  if (value === '') throw invalid(`${operator}: requires a value`);
  if (operator === 'from') query.from = value.replace(/^@/, '');
  else if (operator === 'in') query.in = value.replace(/^#/, '');
  else if (operator === 'has') query.has.push(readFeature(value));
  else {
    const { start, end } = readTime(operator, value);
    if (operator === 'before') query.until = start;
    else query.since = end;
  }
}

function readFeature(value: string): Feature {
  const name = value.toLowerCase().replace(/s$/, '');
  const feature = FEATURES.find((one) => one === (name === 'attachment' ? 'file' : name));
  if (!feature) throw invalid(`has: must be one of ${FEATURES.join(', ')}`);
  return feature;
}

/** Parses a day (in UTC), or a time, whose start and end are the same. */
function readTime(operator: string, value: string): { start: Date; end: Date } {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(value);
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/i.test(value);
  const start = new Date(value);
  const isReal = isDay ? startsWithDay(start, value) : isTime && !Number.isNaN(start.getTime());
  if (!isReal)
    throw invalid(`${operator}: must be a date such as 2026-01-31 or a time such as 2026-01-31T12:00Z`);
  return { start, end: isDay ? new Date(start.getTime() + DAY_MS) : start };
}

/** Whether the date exists: JavaScript parses February 30 as March 2. */
function startsWithDay(time: Date, day: string): boolean {
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(day);
}

export function invalid(message: string): AppError {
  return new AppError('validation_failed', `query: ${message}`, [{ path: 'query', message }]);
}
