import type { Document, Value } from '../bson/types';
import { implies } from '../index/implication';
import { postingPrefix, readScore } from '../index/text-keys';
import { StoreError } from '../errors';
import type { Node } from '../query/ast';
import { textTerms } from '../text/entries';
import { matchText } from '../text/match';
import { type TextQuery, checkTextSpec, parseTextQuery } from '../text/query';
import type { TextIndex } from '../text/text-index';
import type { Collection, IndexState } from './catalog';
import { entryKey, readRecordId } from './keys';
import type { PlanScan, ScanItem, ScanServices, ScanStatistics } from './plan-types';
import type { StoredDocument } from './records';
import { type KeyRange, Scanner, type ViewHolder } from './scanner';
import type { SelectionSpec } from './selection-spec';

/** Index entries read between two ticks. */
const TICK = 256;

/** A document that the index gives for a search, before it is fetched. */
interface Hit {
  recordId: number;
  score: number;
}

/** Opens the scan that answers the $text of a filter. Throws IndexNotFound without a text index. */
export function textScan(
  services: ScanServices,
  collection: Collection,
  clause: Document,
  spec: SelectionSpec,
  holder: ViewHolder,
): TextScan {
  checkTextSpec(clause);
  if (spec.hint !== undefined) {
    throw new StoreError('BadValue', 'text and hint not allowed in same query');
  }
  if (spec.sortDocument?.has('$natural') === true) {
    throw new StoreError('BadValue', 'text expression not allowed with $natural sort order');
  }
  const index = collection.indexes.find(({ building, compiled }) => !building && compiled.text !== undefined);
  const text = index?.compiled.text;
  if (index === undefined || text === undefined) {
    throw new StoreError('IndexNotFound', 'text index required for $text query');
  }
  const { partial } = index.compiled;
  if (partial !== undefined && !implies(spec.filter.root, partial.root, spec.collator === undefined)) {
    throw noPlan();
  }
  const prefix = text.before.map((path) => equalityOn(spec.filter.root, path));
  const query = parseTextQuery(clause, text.language);
  return new TextScan(services, collection, { index, text, prefix, query }, spec, holder);
}

/** The value that a filter wants at a path which a compound text index begins with. */
function equalityOn(root: Node, path: string): Value {
  for (const node of root.kind === 'and' ? root.children : [root]) {
    if (node.kind !== 'leaf' || node.path !== path) continue;
    if (node.predicate.kind === 'compare' && node.predicate.op === 'eq') return node.predicate.value;
  }
  throw noPlan();
}

function noPlan(): StoreError {
  return new StoreError(
    'BadValue',
    'failed to use text index to satisfy $text query (if text index is compound, are equality predicates given for all prefix fields?)',
  );
}

interface Search {
  index: IndexState;
  text: TextIndex;
  prefix: Value[];
  query: TextQuery;
}

/**
 * The documents that a text search finds, best first. The posting list of a term is in the order of its scores, so
 * that a search for one term reads only as far as somebody asks; lists of several terms are added up first.
 */
export class TextScan implements PlanScan {
  readonly plan = undefined;
  readonly statistics: ScanStatistics = { keys: 0, documents: 0 };
  readonly providesSort: boolean;
  #hits: Iterator<Hit> | undefined;
  #scanner: Scanner | undefined;
  /** Documents of one score, in the order of what the sort has after the score. */
  #ties: ScanItem[] = [];
  #ahead: ScanItem | undefined;

  constructor(
    private readonly services: ScanServices,
    private readonly collection: Collection,
    private readonly search: Search,
    private readonly spec: SelectionSpec,
    private readonly holder: ViewHolder,
  ) {
    this.providesSort = spec.sort === undefined || sortsByScoreFirst(spec.sortDocument);
  }

  /** What has to be done before the first document, with a tick now and then. */
  *prepare(): Iterable<undefined> {
    const terms = [...this.search.query.lookupTerms];
    if (terms.length === 1) {
      this.#hits = this.#postings(terms[0] as string);
      return;
    }
    const scores = new Map<number, number>();
    let untilTick = TICK;
    for (const term of terms) {
      for (const { recordId, score } of this.#postings(term)) {
        scores.set(recordId, (scores.get(recordId) ?? 0) + score);
        if (--untilTick > 0) continue;
        untilTick = TICK;
        yield undefined;
      }
    }
    this.#hits = best(scores);
  }

  next(): ScanItem | undefined {
    if (this.spec.sort === undefined || !this.providesSort || this.spec.sortDocument?.size === 1) {
      return this.#fetch();
    }
    return this.#ties.shift() ?? this.#nextTies();
  }

  pause(): void {
    this.#scanner?.pause();
  }

  /** The score of a document that is not in the index, such as one of an open transaction; undefined without a hit. */
  judge(stored: StoredDocument): number | undefined {
    const { query, text } = this.search;
    let sum: number | undefined;
    for (const [term, score] of textTerms(text, stored.document)) {
      if (query.lookupTerms.has(term)) sum = (sum ?? 0) + score;
    }
    return sum !== undefined && matchText(query, text, stored.document) ? sum : undefined;
  }

  *#postings(term: string): Generator<Hit> {
    const { index, prefix } = this.search;
    const lower = entryKey(index.number, postingPrefix(prefix, term));
    const range: KeyRange = { lower, upper: after(lower), reverse: false };
    this.#scanner = new Scanner(this.services.environment.entries, range, this.holder, false);
    for (let entry = this.#scanner.next(); entry; entry = this.#scanner.next()) {
      this.statistics.keys++;
      yield { recordId: readRecordId(entry.key), score: readScore(entry.key, lower.length) };
    }
  }

  #fetch(): ScanItem | undefined {
    const { query, text } = this.search;
    for (let step = this.#hits?.next(); step && step.done !== true; step = this.#hits?.next()) {
      const { recordId, score } = step.value;
      const stored = this.services.records.get(this.collection, recordId, this.holder.view);
      // Gone since an earlier batch.
      if (stored === undefined) continue;
      this.statistics.documents++;
      if (query.needsDocument && !matchText(query, text, stored.document)) continue;
      return { stored, score, matched: false };
    }
    return undefined;
  }

  #nextTies(): ScanItem | undefined {
    const { sort } = this.spec;
    const first = this.#ahead ?? this.#fetch();
    this.#ahead = undefined;
    if (first === undefined || sort === undefined) return first;
    const group = [first];
    for (let item = this.#fetch(); item; item = this.#fetch()) {
      if (item.score !== first.score) {
        this.#ahead = item;
        break;
      }
      group.push(item);
    }
    const keyed = group.map((item) => ({
      item,
      key: sort.key(item.stored.document, { textScore: item.score }),
    }));
    keyed.sort((a, b) => sort.compareKeys(a.key, b.key));
    this.#ties = keyed.map(({ item }) => item);
    return this.#ties.shift();
  }
}

function sortsByScoreFirst(sort: Document | undefined): boolean {
  const [first] = sort?.values() ?? [];
  return first instanceof Map;
}

/** The hits by falling score. */
function best(scores: ReadonlyMap<number, number>): Iterator<Hit> {
  const ids = Float64Array.from(scores.keys());
  ids.sort((a, b) => (scores.get(b) ?? 0) - (scores.get(a) ?? 0));
  let at = 0;
  return {
    next() {
      const recordId = ids[at++];
      if (recordId === undefined) return { done: true, value: undefined };
      return { done: false, value: { recordId, score: scores.get(recordId) ?? 0 } };
    },
  };
}

/** The first key behind all that begin with `prefix`. */
function after(prefix: Buffer): Buffer {
  const upper = Buffer.from(prefix);
  for (let i = upper.length - 1; i >= 0; i--) {
    const byte = upper[i] as number;
    if (byte < 0xff) {
      upper[i] = byte + 1;
      return upper.subarray(0, i + 1);
    }
  }
  return upper;
}
