type Compare = (a: string, b: string) => number;

const CACHE_LIMIT = 20_000;
const DIGITS = /\p{Nd}+/gu;
/** A character with the marks that belong to it. */
const CLUSTER = /\P{M}\p{M}*|\p{M}+/gu;
const INVISIBLE = /[\p{Cf}\p{Cc}]/gu;
/** Where equalities occur that no decomposition explains: Latin to symbols, and the compatibility forms. */
const TABLE_RANGES: readonly [first: number, last: number][] = [
  [0x20, 0x33ff],
  [0xa640, 0xabff],
  [0xf900, 0xffef],
];
const LATIN: readonly [first: number, last: number] = [0xc0, 0x24f];

/**
 * Makes the function that maps strings to one form for each class of strings that the collation holds equal.
 * Intl gives no sort keys, so the collator itself is asked which characters are equal: each is replaced by the
 * simplest of its like. Two letters that stand for one (Danish `aa`) are replaced together.
 */
export function canonicalForm(compare: Compare, numeric: boolean): (s: string) => string {
  const known = new Map<string, string>();
  let table: Map<string, string> | undefined;
  let pairs: ReadonlyMap<string, string> | undefined;

  /** The simplest equal of a cluster, apart from those that only the table knows. */
  function simplest(cluster: string): string {
    if (compare(cluster, '') === 0) return '';
    return candidates(cluster).find((candidate) => compare(candidate, cluster) === 0) ?? cluster;
  }

  function mapped(cluster: string): string {
    const cached = known.get(cluster);
    if (cached !== undefined) return cached;
    table ??= cluster > '\x7f' ? equalCharacters(compare, simplest) : undefined;
    const form = table?.get(cluster) ?? byParts(simplest(cluster));
    if (known.size >= CACHE_LIMIT) known.clear();
    known.set(cluster, form);
    return form;
  }

  /** Marks can have equals of their own. */
  function byParts(form: string): string {
    if (table === undefined) return form;
    const parts = [...form].map((part) => (/\p{M}/u.test(part) ? (table?.get(part) ?? part) : part)).join('');
    return compare(parts, form) === 0 ? parts : form;
  }

  return (text) => {
    pairs ??= letterPairs(compare, simplest);
    const visible = text.normalize('NFD').replace(INVISIBLE, (each) => (compare(each, '') === 0 ? '' : each));
    const clusters = visible.match(CLUSTER) ?? [];
    let result = '';
    for (let i = 0; i < clusters.length; i++) {
      const pair = pairs.size > 0 ? pairs.get(`${clusters[i]}${clusters[i + 1] ?? ''}`) : undefined;
      if (pair !== undefined) i++;
      result += pair ?? mapped(clusters[i] as string);
    }
    return numeric ? result.replace(DIGITS, (digits) => digits.replace(/^0+(?=\d)/, '')) : result;
  };
}

/** Simpler forms of a character, simplest first. */
function candidates(character: string): string[] {
  const plain = character.normalize('NFKD');
  const bare = plain.replace(/\p{M}/gu, '');
  const folded = (text: string): string => text.toUpperCase().toLowerCase().normalize('NFKD');
  return [
    folded(bare),
    bare.toLowerCase(),
    bare,
    folded(plain),
    plain.toLowerCase(),
    character.toLowerCase(),
    plain,
  ];
}

function codePoints([first, last]: readonly [number, number]): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i));
}

/** Sorts strings and cuts them where neighbours are not equal. */
function classes(strings: readonly string[], compare: Compare): string[][] {
  const sorted = [...strings].sort(compare);
  const result: string[][] = [];
  sorted.forEach((text, i) => {
    if (i > 0 && compare(sorted[i - 1] as string, text) === 0) result.at(-1)?.push(text);
    else result.push([text]);
  });
  return result;
}

const byCodePoint = (a: string, b: string): number => (a < b ? -1 : 1);

/** Each character that has equals, with the form of the first of them. */
function equalCharacters(compare: Compare, simplest: (s: string) => string): Map<string, string> {
  const single = TABLE_RANGES.flatMap(codePoints)
    .map((character) => character.normalize('NFD'))
    .filter((character) => character.match(CLUSTER)?.length === 1 && !/\p{Cn}/u.test(character));
  const result = new Map<string, string>();
  for (const members of classes([...new Set(single)], compare)) {
    if (members.length < 2) continue;
    const form = simplest([...members].sort(byCodePoint)[0] as string);
    for (const member of members) result.set(member, form);
  }
  return result;
}

/** Pairs of letters that are equal to one letter with marks. */
function letterPairs(compare: Compare, simplest: (s: string) => string): Map<string, string> {
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];
  const pairs = letters.flatMap((first) => letters.map((second) => first + second));
  const marked = codePoints(LATIN).map((character) => character.normalize('NFD'));
  const result = new Map<string, string>();
  for (const members of classes([...new Set([...pairs, ...marked])], compare)) {
    const letter = members.filter((member) => !pairs.includes(member)).sort(byCodePoint)[0];
    // A letter whose own form is the pair needs nothing: both are written alike anyway.
    if (letter === undefined || /^[a-z]{2}$/.test(simplest(letter))) continue;
    for (const member of members) if (pairs.includes(member)) result.set(member, simplest(letter));
  }
  return result;
}
