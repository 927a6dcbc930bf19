import type { Collator } from '../bson/collator';
import { toPlain } from '../bson/plain';
import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import { parseCollation } from './collation-spec';
import { canonicalForm } from './collation-key';

export type { Collator } from '../bson/collator';

const CACHE_LIMIT = 50;
const cache = new Map<string, Collator>();

/**
 * The collator of a `collation` document (https://www.mongodb.com/docs/manual/reference/collation/); undefined for
 * none and for locale "simple". Strengths 1 to 3, caseLevel, caseFirst, numericOrdering and alternate: "shifted" go
 * through Intl.Collator; what Intl cannot do is refused with BadValue.
 */
export function compileCollation(spec: Document | undefined): Collator | undefined {
  if (spec === undefined) return undefined;
  const parsed = parseCollation(spec);
  if (parsed === undefined) return undefined;
  const id = JSON.stringify(toPlain(parsed.spec));
  const known = cache.get(id);
  if (known !== undefined) return known;
  let intl: Intl.Collator;
  try {
    intl = new Intl.Collator(parsed.locale, parsed.options);
  } catch {
    throw new StoreError('BadValue', `Field 'locale' is invalid in: ${parsed.locale}`);
  }
  const compare = (a: string, b: string): number => (a === b ? 0 : intl.compare(a, b));
  const collator: Collator = {
    spec: parsed.spec,
    compare,
    key: canonicalForm(compare, parsed.options.numeric === true),
  };
  if (cache.size >= CACHE_LIMIT) cache.clear();
  cache.set(id, collator);
  return collator;
}
