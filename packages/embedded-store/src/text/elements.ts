import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { type Language, findLanguage } from './languages';
import type { TextIndex } from './text-index';

/** Calls `visit` with each string that a text index covers, its language and its weight. */
export function eachText(
  index: TextIndex,
  document: Document,
  visit: (text: string, language: Language, weight: number) => void,
): void {
  walk(index, document, languageOf(index, document, index.language), '', visit);
}

type Visit = Parameters<typeof eachText>[2];

function walk(index: TextIndex, document: Document, language: Language, parent: string, visit: Visit): void {
  for (const [name, value] of document) {
    if (index.wildcard && name === index.languageField) continue;
    const path = parent === '' ? name : `${parent}.${name}`;
    visitValue(index, value, language, path, false, visit);
  }
}

function visitValue(
  index: TextIndex,
  value: Value,
  language: Language,
  path: string,
  inArray: boolean,
  visit: Visit,
): void {
  if (typeof value === 'string') {
    const weight = index.weights.get(path) ?? (index.wildcard ? 1 : undefined);
    if (weight !== undefined) visit(value, language, weight);
  } else if (Array.isArray(value)) {
    // An array directly inside an array is ignored.
    if (inArray && !index.wildcard) return;
    if (!leadsTo(index, path, true)) return;
    for (const item of value) visitValue(index, item, language, path, true, visit);
  } else if (value instanceof Map && leadsTo(index, path, false)) {
    walk(index, value, languageOf(index, value, language), path, visit);
  }
}

/** Whether an indexed path is this one (if `included`) or is below it. */
function leadsTo(index: TextIndex, path: string, itself: boolean): boolean {
  if (index.wildcard || (itself && index.weights.has(path))) return true;
  for (const weighted of index.weights.keys()) {
    if (weighted.length > path.length && weighted.startsWith(path) && weighted[path.length] === '.')
      return true;
  }
  return false;
}

function languageOf(index: TextIndex, document: Document, inherited: Language): Language {
  const given = document.get(index.languageField);
  if (given === undefined) return inherited;
  if (typeof given !== 'string') {
    throw new StoreError(17261, 'found language override field in document with non-string type');
  }
  const language = findLanguage(given);
  if (language === undefined) throw new StoreError(17262, `language override unsupported: ${given}`);
  return language;
}
