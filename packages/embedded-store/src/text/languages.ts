import { stopwords as danish } from '@orama/stopwords/danish';
import { stopwords as dutch } from '@orama/stopwords/dutch';
import { stopwords as finnish } from '@orama/stopwords/finnish';
import { stopwords as french } from '@orama/stopwords/french';
import { stopwords as german } from '@orama/stopwords/german';
import { stopwords as hungarian } from '@orama/stopwords/hungarian';
import { stopwords as italian } from '@orama/stopwords/italian';
import { stopwords as norwegian } from '@orama/stopwords/norwegian';
import { stopwords as portuguese } from '@orama/stopwords/portuguese';
import { stopwords as romanian } from '@orama/stopwords/romanian';
import { stopwords as russian } from '@orama/stopwords/russian';
import { stopwords as spanish } from '@orama/stopwords/spanish';
import { stopwords as swedish } from '@orama/stopwords/swedish';
import { stopwords as turkish } from '@orama/stopwords/turkish';
import { newStemmer } from 'snowball-stemmers';
import { ENGLISH_STOP_WORDS } from './english-stop-words';

/** The stop words and the stemmer of a language. */
export interface Language {
  readonly name: string;
  readonly stopWords: ReadonlySet<string>;
  stem(word: string): string;
}

/** Two-letter codes, as MongoDB takes them beside the names. */
const CODES: Readonly<Record<string, string>> = {
  da: 'danish',
  nl: 'dutch',
  en: 'english',
  fi: 'finnish',
  fr: 'french',
  de: 'german',
  hu: 'hungarian',
  it: 'italian',
  nb: 'norwegian',
  pt: 'portuguese',
  ro: 'romanian',
  ru: 'russian',
  es: 'spanish',
  sv: 'swedish',
  tr: 'turkish',
};

const STOP_WORDS: Readonly<Record<string, readonly string[]>> = {
  danish,
  dutch,
  english: ENGLISH_STOP_WORDS,
  finnish,
  french,
  german,
  hungarian,
  italian,
  norwegian,
  portuguese,
  romanian,
  russian,
  spanish,
  swedish,
  turkish,
};

/** Longer texts are not words, and some stemmers take quadratic time. */
const MAX_STEMMED = 256;
/** A cache, because stemming takes microseconds for each word, and most texts use few different words. */
const STEM_CACHE_LIMIT = 50_000;

const NONE: Language = { name: 'none', stopWords: new Set(), stem: (word) => word };
const made = new Map<string, Language>([['none', NONE]]);

/**
 * A language of text indexes by its name or code, in any case
 * (https://www.mongodb.com/docs/manual/reference/text-search-languages/); undefined for others.
 */
export function findLanguage(given: string): Language | undefined {
  const lower = given.toLowerCase();
  const name = CODES[lower] ?? lower;
  const known = made.get(name);
  if (known !== undefined) return known;
  const words = Object.hasOwn(STOP_WORDS, name) ? STOP_WORDS[name] : undefined;
  if (words === undefined) return undefined;
  const language: Language = { name, stopWords: new Set(words), stem: cachedStemmer(name) };
  made.set(name, language);
  return language;
}

function cachedStemmer(name: string): (word: string) => string {
  const stemmer = newStemmer(name);
  const cache = new Map<string, string>();
  return (word) => {
    if (word.length > MAX_STEMMED) return word;
    let stem = cache.get(word);
    if (stem === undefined) {
      stem = stemmer.stem(word);
      if (cache.size >= STEM_CACHE_LIMIT) cache.clear();
      cache.set(word, stem);
    }
    return stem;
  };
}
