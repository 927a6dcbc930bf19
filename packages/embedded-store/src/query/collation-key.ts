type Compare = (a: string, b: string) => number;

const CACHE_LIMIT = 20_000;
const DIGITS = /\p{Nd}+/gu;
/** A character with its combining marks. */
const CLUSTER = /\P{M}\p{M}*|\p{M}+/gu;
const INVISIBLE = /[\p{Cf}\p{Cc}]/gu;
/** The ranges with equalities that no decomposition explains: Latin to symbols, and the compatibility forms. */
const TABLE_RANGES: readonly [first: number, last: number][] = [
  [0x20, 0x33ff],
  [0xa640, 0xabff],
  [0xf900, 0xffef],
];
const LATIN: readonly [first: number, last: number] = [0xc0, 0x24f];

/**
 * Returns a function that maps all strings that are equal under the collation to the same form. Intl has no sort
 * keys, so the function finds equal characters by comparing them: each is replaced by the simplest character that
 * is equal to it. Two letters that are equal to one (Danish `aa`) are replaced together.
 */
export function canonicalForm(compare: Compare, numeric: boolean): (s: string) => string {
  const known = new Map<string, string>();
  let table: Map<string, string> | undefined;
  let pairs: ReadonlyMap<string, string> | undefined;

  /** The simplest equal of a cluster, except for those that only the table has. */
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

  /** Marks can have equals, too. */
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

/** Sorts strings and splits them into groups of equal ones. */
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

/** Each character that has equals, with the form of the first one. */
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
    // A letter whose form is the pair needs no entry: both have the same form already.
    if (letter === undefined || /^[a-z]{2}$/.test(simplest(letter))) continue;
    for (const member of members) if (pairs.includes(member)) result.set(member, simplest(letter));
  }
  return result;
}
