import type { Document, Value } from '../bson/types';
import { implies } from '../index/implication';
import { successor } from '../index/interval';
import { eachPosting, encodePrefix, postingPrefix, readScore, SCORE_BYTES } from '../index/text-keys';
import { StoreError } from '../errors';
import type { Node } from '../query/ast';
import { textTerms } from '../text/entries';
import { matchText } from '../text/match';
import { type TextQuery, checkTextSpec, parseTextQuery } from '../text/query';
import type { TextIndex } from '../text/text-index';
import type { Collection, IndexState } from './catalog';
import { entryKey, readRecordId } from './keys';
import { PostingList, compareHits } from './text-postings';
import { type Hit, bestOfLists, byScore } from './text-top';
import type { PlanScan, ScanItem, ScanServices, ScanStatistics } from './plan-types';
import type { StoredDocument } from './stored-document';
import { type KeyRange, Scanner, type CurrentView } from './scanner';
import type { SelectionSpec } from './selection-spec';

/** Index entries read between two ticks. */
const TICK = 256;

/** The largest page by score that is computed without reading the posting lists to their end. */
const MAX_TOP = 1000;
/** The search for the best documents has one bit for each term. */
const MAX_LISTS = 30;

/** Opens the scan for the $text of a filter. Throws IndexNotFound without a text index. */
export function textScan(
  services: ScanServices,
  collection: Collection,
  clause: Document,
  spec: SelectionSpec,
  current: CurrentView,
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
  return new TextScan(services, collection, { index, text, prefix, query }, spec, current);
}

/** The value that a filter requires at a leading path of a compound text index. */
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
 * a search for one term reads only as far as needed; for several terms, the scores of their lists are added first.
 */
export class TextScan implements PlanScan {
  readonly plan = undefined;
  readonly statistics: ScanStatistics = { keys: 0, documents: 0 };
  readonly providesSort: boolean;
  #hits: Iterator<Hit> | undefined;
  readonly #lists: PostingList[] = [];
  /** The hits in the change buffer by term, best first; undefined when they have to be read. */
  #buffered: ReadonlyMap<string, Hit[]> | undefined;
  /** Documents of one score, in the order of the sort fields after the score. */
  #ties: ScanItem[] = [];
  #ahead: ScanItem | undefined;

  constructor(
    private readonly services: ScanServices,
    private readonly collection: Collection,
    private readonly search: Search,
    private readonly spec: SelectionSpec,
    private readonly current: CurrentView,
  ) {
    this.providesSort = spec.sort === undefined || sortsByScoreFirst(spec.sortDocument);
  }

  /** The work before the first document; yields ticks. */
  *prepare(): Iterable<undefined> {
    const terms = [...this.search.query.lookupTerms];
    if (terms.length === 1) {
      this.#hits = this.#postings(terms[0] as string);
      return;
    }
    const top = yield* this.#top(terms);
    if (top !== undefined) {
      this.#hits = top.values();
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
    this.#hits = byScore(scores);
  }

  next(): ScanItem | undefined {
    if (this.spec.sort === undefined || !this.providesSort || this.spec.sortDocument?.size === 1) {
      return this.#fetch();
    }
    return this.#ties.shift() ?? this.#nextTies();
  }

  pause(): void {
    for (const list of this.#lists) list.pause();
    this.#buffered = undefined;
  }

  /**
   * The score of a document that is not in the index, such as one of an open transaction; undefined if it does not
   * match.
   */
  scoreOf(stored: StoredDocument): number | undefined {
    const { query, text } = this.search;
    let sum: number | undefined;
    const scores = textTerms(text, stored.document);
    // In the order in which the posting lists are added, so that the sums are equal to the last bit.
    for (const term of query.lookupTerms) {
      const score = scores.get(term);
      if (score !== undefined) sum = (sum ?? 0) + score;
    }
    return sum !== undefined && matchText(query, text, stored.document) ? sum : undefined;
  }

  /**
   * The hits of a page by score, if a page is requested and does not require reading the lists to their end. When
   * the sort has more fields, it includes all hits with the last score.
   */
  *#top(terms: readonly string[]): Generator<undefined, Hit[] | undefined> {
    const wanted = this.#hitsNeeded(terms);
    if (wanted === undefined) return undefined;
    const { records } = this.services;
    const ranking = bestOfLists(
      terms.map((term) => this.#postings(term)),
      (recordId) => {
        const stored = records.get(this.collection, recordId, this.current.view);
        this.statistics.documents++;
        return stored && this.spec.filter.matches(stored.document) ? this.scoreOf(stored) : undefined;
      },
    );
    const ties = (this.spec.sortDocument?.size ?? 0) > 1;
    const hits: Hit[] = [];
    for (let step = ranking.next(); ; step = ranking.next()) {
      if (step.done === true) {
        this.pause();
        return step.value === 'end' ? hits : undefined;
      }
      if (step.value === undefined) {
        yield undefined;
        continue;
      }
      if (hits.length >= wanted && (!ties || step.value.score < (hits.at(-1)?.score ?? 0))) {
        this.pause();
        return hits;
      }
      hits.push(step.value);
      if (hits.length >= wanted && !ties) {
        this.pause();
        return hits;
      }
    }
  }

  /** The number of hits that is enough; undefined when all are needed. */
  #hitsNeeded(terms: readonly string[]): number | undefined {
    const { sort, limit, skip } = this.spec;
    const overlaid = 'transaction' in this.current && this.current.transaction !== undefined;
    if (sort === undefined || !this.providesSort || limit === undefined || overlaid) return undefined;
    return terms.length <= MAX_LISTS && skip + limit <= MAX_TOP ? skip + limit : undefined;
  }

  *#postings(term: string): Generator<Hit> {
    const { index, prefix } = this.search;
    const lower = entryKey(index.number, postingPrefix(prefix, term));
    const range: KeyRange = { lower, upper: successor(lower), reverse: false };
    const scanner = new Scanner(this.services.environment.entries, range, this.current, false);
    const next = (): Hit | undefined => {
      const entry = scanner.next();
      return entry && { recordId: readRecordId(entry.key), score: readScore(entry.key, lower.length) };
    };
    const list = new PostingList({ scanner, next }, () => this.#bufferedHits(term));
    this.#lists.push(list);
    for (let hit = list.next(); hit; hit = list.next()) {
      this.statistics.keys++;
      yield hit;
    }
  }

  #bufferedHits(term: string): readonly Hit[] {
    this.#buffered ??= this.#readBuffer();
    return this.#buffered.get(term) ?? [];
  }

  /** Reads the hits of all terms in the change buffer, in one go, so that they are of one view. */
  #readBuffer(): ReadonlyMap<string, Hit[]> {
    const { index, prefix, query } = this.search;
    const found = new Map<string, Hit[]>();
    const before = encodePrefix(prefix);
    const terms = [...query.lookupTerms].map((term) => {
      const hits: Hit[] = [];
      found.set(term, hits);
      return { bytes: postingPrefix(prefix, term).subarray(before.length), hits };
    });
    const lower = entryKey(index.number, before);
    const range: KeyRange = { lower, upper: successor(lower), reverse: false };
    const scanner = new Scanner(this.services.environment.buffer, range, this.current, true);
    for (let entry = scanner.next(); entry; entry = scanner.next()) {
      const { key, value } = entry;
      eachPosting(value, (start, end) => {
        for (const { bytes, hits } of terms) {
          if (end - start - SCORE_BYTES !== bytes.length) continue;
          if (value.compare(bytes, 0, bytes.length, start, start + bytes.length) !== 0) continue;
          hits.push({ recordId: readRecordId(key), score: readScore(value, start + bytes.length) });
        }
      });
    }
    for (const hits of found.values()) hits.sort(compareHits);
    return found;
  }

  #fetch(): ScanItem | undefined {
    const { query, text } = this.search;
    for (let step = this.#hits?.next(); step && step.done !== true; step = this.#hits?.next()) {
      const { recordId, score } = step.value;
      const stored = this.services.records.get(this.collection, recordId, this.current.view);
      // Deleted since an earlier batch.
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
