/** A document that a search found, with its score (or the score so far). */
export interface Hit {
  recordId: number;
  score: number;
}

/** The state of a document that some posting lists contain. */
interface Candidate {
  recordId: number;
  /** Sum of the scores read so far. */
  sum: number;
  /** One bit for each list that contains it. */
  lists: number;
  /** The upper bound of its score. */
  bound: number;
  exact: boolean;
}

/** Number of exact scores that may be computed; with more, reading the lists to their end would be cheaper. */
const BUDGET = 4000;
/** Postings read from one list before the next is chosen. */
const RUN = 32;

/**
 * The best of the documents in several posting lists, each in descending order of scores, without reading the lists
 * further than needed (Fagin's threshold algorithm): a document that was in no list yet has at most the sum of the
 * lists' next scores. `exact` returns a document's total score, or undefined if it does not match after all. Yields
 * ticks (undefined) while it reads, and hits in descending order; ends early, with 'too much' as its value, when so
 * many exact scores are needed that reading all postings would be cheaper.
 */
export function* bestOfLists(
  lists: readonly Iterator<Hit>[],
  exact: (recordId: number) => number | undefined,
): Generator<Hit | undefined, 'end' | 'too much'> {
  const frontier = lists.map(() => Number.POSITIVE_INFINITY);
  const candidates = new Map<number, Candidate>();
  const heap = new Heap();
  let asked = 0;

  const boundOf = ({ sum, lists: given }: Candidate): number =>
    frontier.reduce((total, next, i) => ((given >> i) & 1 ? total : total + next), sum);

  for (;;) {
    const unseen = frontier.reduce((total, next) => total + next, 0);
    const top = heap.peek();
    if (top === undefined || top.bound < unseen || unseen === Number.POSITIVE_INFINITY) {
      if (unseen === 0) return 'end';
      const at = frontier.indexOf(Math.max(...frontier));
      for (const hit of readRun(lists[at] as Iterator<Hit>, frontier, at)) {
        let candidate = candidates.get(hit.recordId);
        if (candidate?.exact === true) continue;
        if (candidate === undefined) {
          candidate = { recordId: hit.recordId, sum: 0, lists: 0, bound: 0, exact: false };
          candidates.set(hit.recordId, candidate);
        }
        candidate.sum += hit.score;
        candidate.lists |= 1 << at;
        if (candidate.bound === 0) {
          candidate.bound = boundOf(candidate);
          heap.push(candidate);
        }
      }
      yield undefined;
      continue;
    }
    heap.pop();
    if (top.exact) {
      yield { recordId: top.recordId, score: top.bound };
      continue;
    }
    const bound = boundOf(top);
    if (bound < top.bound) {
      top.bound = bound;
      heap.push(top);
      continue;
    }
    if (++asked > BUDGET) return 'too much';
    const score = exact(top.recordId);
    top.exact = true;
    if (score !== undefined) {
      top.bound = score;
      heap.push(top);
    }
    if (asked % RUN === 0) yield undefined;
  }
}

/** Reads more of one list; at the end of the list its frontier is zero. */
function readRun(list: Iterator<Hit>, frontier: number[], at: number): Hit[] {
  const hits: Hit[] = [];
  while (hits.length < RUN) {
    const step = list.next();
    if (step.done === true) {
      frontier[at] = 0;
      return hits;
    }
    hits.push(step.value);
    frontier[at] = step.value.score;
  }
  return hits;
}

/** Candidates by descending bound. */
class Heap {
  private readonly items: Candidate[] = [];

  peek(): Candidate | undefined {
    return this.items[0];
  }

  push(item: Candidate): void {
    const { items } = this;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((items[parent] as Candidate).bound >= item.bound) break;
      items[at] = items[parent] as Candidate;
      at = parent;
    }
    items[at] = item;
  }

  pop(): void {
    const { items } = this;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = items[child + 1];
      if (right !== undefined && right.bound > (items[child] as Candidate).bound) child++;
      if ((items[child] as Candidate).bound <= last.bound) break;
      items[at] = items[child] as Candidate;
      at = child;
    }
    items[at] = last;
  }
}

/** The hits by descending score. */
export function byScore(scores: ReadonlyMap<number, number>): Iterator<Hit> {
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
