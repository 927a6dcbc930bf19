import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { indexTerm } from './entries';
import type { Sensitivity } from './folding';
import { type Language, findLanguage } from './languages';
import { eachTerm } from './tokenizer';

/** A parsed $text search. */
export interface TextQuery extends Sensitivity {
  /** Terms to look up in the index: a document must have one of them. */
  readonly lookupTerms: ReadonlySet<string>;
  /** The same terms with their case and diacritics, if those count. */
  readonly terms: ReadonlySet<string>;
  readonly negatedTerms: ReadonlySet<string>;
  /** Each phrase must be in a document as it stands, … */
  readonly phrases: readonly string[];
  /** … and none of these. */
  readonly negatedPhrases: readonly string[];
  readonly language: Language;
  /** Whether the index alone does not decide: the documents have to be checked by `matchText`. */
  readonly needsDocument: boolean;
}

const FIELDS: Readonly<Record<string, 'string' | 'boolean'>> = {
  $search: 'string',
  $language: 'string',
  $caseSensitive: 'boolean',
  $diacriticSensitive: 'boolean',
};

/**
 * Parses the argument of $text (https://www.mongodb.com/docs/manual/reference/operator/query/text/).
 * `defaultLanguage` is that of the index.
 */
export function parseTextQuery(spec: Document, defaultLanguage?: Language): TextQuery {
  checkTextSpec(spec);
  const named = spec.get('$language') as string | undefined;
  const language =
    named === undefined || named === '' ? (defaultLanguage ?? findLanguage('english')) : findLanguage(named);
  if (language === undefined) throw new StoreError('BadValue', `unsupported language: "${named}"`);
  const sensitivity: Sensitivity = {
    caseSensitive: spec.get('$caseSensitive') === true,
    diacriticSensitive: spec.get('$diacriticSensitive') === true,
  };
  const parts = splitSearch(spec.get('$search') as string);
  const lookupTerms = new Set<string>();
  eachTerm(parts.positive.join(' '), language, (term) => lookupTerms.add(indexTerm(term)));
  const exact = sensitivity.caseSensitive || sensitivity.diacriticSensitive;
  const { phrases, negatedPhrases } = parts;
  const negatedTerms = collect(parts.negative, language, sensitivity);
  return {
    ...sensitivity,
    language,
    lookupTerms,
    terms: collect(parts.positive, language, sensitivity),
    negatedTerms,
    phrases,
    negatedPhrases,
    needsDocument: exact || negatedTerms.size + phrases.length + negatedPhrases.length > 0,
  };
}

/** Checks the form of a $text argument, which needs no index. */
export function checkTextSpec(spec: Document): void {
  for (const [name, value] of spec) {
    const type = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (type === undefined) throw new StoreError('BadValue', 'extra fields in $text');
    if (typeof value !== type)
      throw new StoreError('TypeMismatch', `$text: "${name}" had the wrong type. Expected ${type}`);
  }
  if (!spec.has('$search')) throw new StoreError('NoSuchKey', 'Missing expected field "$search"');
  const language: Value | undefined = spec.get('$language');
  if (typeof language === 'string' && language !== '' && findLanguage(language) === undefined) {
    throw new StoreError('BadValue', `unsupported language: "${language}" for text index version 3`);
  }
}

function collect(words: readonly string[], language: Language, sensitivity: Sensitivity): Set<string> {
  const terms = new Set<string>();
  eachTerm(words.join(' '), language, (term) => terms.add(term), sensitivity);
  return terms;
}

interface SearchParts {
  positive: string[];
  negative: string[];
  phrases: string[];
  negatedPhrases: string[];
}

/**
 * Parses a search string. Quotes enclose phrases, whose words are searched as well. A minus after white space
 * negates what follows it up to the next white space: a word, several joined by more minuses, a phrase.
 */
function splitSearch(search: string): SearchParts {
  const parts: SearchParts = { positive: [], negative: [], phrases: [], negatedPhrases: [] };
  let negated = false;
  let quoteAt: number | undefined;
  let spaceBefore = true;
  for (const match of search.matchAll(/([ \n\v\f\r]+)|([-"])|[^ \n\v\f\r"-]+/g)) {
    const [token, space, mark] = match;
    if (space !== undefined) {
      spaceBefore = true;
      continue;
    }
    if (mark === '-') {
      if (quoteAt === undefined && spaceBefore) negated = true;
    } else if (mark === '"') {
      if (quoteAt === undefined) {
        if (negated && spaceBefore) negated = false;
        quoteAt = match.index;
      } else {
        (negated ? parts.negatedPhrases : parts.phrases).push(search.slice(quoteAt + 1, match.index));
        quoteAt = undefined;
      }
    } else if (!(quoteAt !== undefined && negated)) {
      if (negated && spaceBefore) negated = false;
      (negated ? parts.negative : parts.positive).push(token);
    }
    spaceBefore = false;
  }
  return parts;
}
