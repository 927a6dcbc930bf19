/** The lengths of the compared texts, in UTF-16 code units. */
const SHORT = 4 * 1024;
const LONG = 64 * 1024;
/** With linear time the long text takes 16 times as long as the short one; with quadratic time, 256 times. */
const MAX_GROWTH = 80;
/** Shorter times count as this many milliseconds. */
const MIN_DURATION_MS = 0.02;
/** The fastest of this many calls counts, because garbage collection and the like only make calls slower. */
const TRIES = 10;

export type Work = (text: string, call: number) => unknown;

/** Makes a text of a given length. */
export type Make = (length: number) => string;
export const repeat =
  (unit: string): Make =>
  (length) =>
    unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
/** Several parts one after the other, each repeated. */
export const parts =
  (...units: string[]): Make =>
  (length) =>
    units.map((unit) => repeat(unit)(Math.floor(length / units.length))).join('');
/** A repeated part between a beginning and an end. */
export const between =
  (start: string, unit: string, end = ''): Make =>
  (length) =>
    start + repeat(unit)(length - start.length - end.length) + end;
/** Characters with few repetitions. */
export const mixed: Make = (length) =>
  Array.from({ length }, (_, index) => String.fromCodePoint(0x4e00 + ((index * 7919) % 20_000))).join('');

/** Texts that are difficult for scanners. */
export const TEXTS: Record<string, Make> = {
  'one word': repeat('a'),
  words: repeat('ab cd '),
  'many different words': (length) =>
    Array.from({ length: length / 6 }, (_, index) => (index + 1e5).toString(36).padStart(5, 'z')).join(' '),
  spaces: between('a', ' ', 'b'),
  'line breaks': between('a', '\n', 'b'),
  'full stops': between('a', '.', 'b'),
  'quotation marks': repeat('"'),
  backticks: repeat('` `\n```'),
  'backticks without end': repeat('```a'),
  braces: repeat('{a'),
  slashes: repeat('/\\'),
  minuses: between('-', '-', '"'),
  'at signs': repeat('@a.'),
  'names with full stops': between('@', 'a.'),
  colons: repeat('a:'),
  digits: repeat('9'),
  links: repeat('http://a/.x) '),
  'links without a host': repeat('http://[ '),
  'addresses of mail': parts('a@', 'a.'),
  'letters that stemming looks at': repeat('yy'),
  endings: repeat('ationally'),
  'combining marks': parts('\u0301', '\u0316'),
  'combining marks in turn': between('a', '\u0301\u0316'),
  'letters without spaces': repeat('漢'),
  'many letters without spaces': mixed,
  'letters that become many': repeat('\ufdfa'),
  'letters that have another length in lower case': repeat('İ'),
  'emoji that are joined': repeat('👩\u200d'),
  flags: repeat('🇩'),
  keycaps: repeat('1\ufe0f\u20e3'),
  'halves of characters': repeat('\ud800'),
};

/** Returns the processor time of a call in milliseconds. Throwing is a valid result of the call. */
async function duration(work: Work, text: string, call: number): Promise<number> {
  const start = process.cpuUsage();
  try {
    await work(text, call);
  } catch {
    // Refused.
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Returns how much longer the long text takes than the short one, as a factor, using the fastest of several calls. */
async function growth(work: Work, make: Make): Promise<number> {
  const [short, long] = [make(SHORT), make(LONG)];
  let shortest = Infinity;
  let longest = Infinity;
  let found = Infinity;
  for (let call = 0; call < TRIES && found > MAX_GROWTH; call++) {
    // The long text is first, so that the function is already compiled when the short one is measured.
    longest = Math.min(longest, await duration(work, long, call));
    for (let each = 0; each < 3; each++) {
      shortest = Math.min(shortest, await duration(work, short, 3 * call + each));
    }
    found = longest / Math.max(shortest, MIN_DURATION_MS);
    // Two calls are enough if they take a second.
    if (longest > 1000 && call > 0) break;
  }
  return found;
}

/** Returns the texts whose time grows faster than linearly, with the growth factor. */
export async function tooSlow(work: Work, texts: Record<string, Make>): Promise<Record<string, number>> {
  const slow: Record<string, number> = {};
  for (const [name, make] of Object.entries(texts)) {
    const found = await growth(work, make);
    if (found > MAX_GROWTH) slow[name] = found;
  }
  return slow;
}
