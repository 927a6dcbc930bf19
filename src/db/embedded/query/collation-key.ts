const CACHE_LIMIT = 20_000;
const DIGITS = /\p{Nd}+/gu;

/**
 * Makes the function that maps strings to one form for each class of strings the collation holds equal.
 * Each character is replaced by the simplest one that the collator itself says is equal (nothing, its
 * lower case, its compatibility decomposition without marks), so that only real equalities are used.
 */
export function canonicalForm(
  compare: (a: string, b: string) => number,
  numeric: boolean,
): (s: string) => string {
  const known = new Map<string, string>();

  function simplest(character: string): string {
    if (compare(character, '') === 0) return '';
    for (const candidate of candidates(character)) {
      if (candidate !== character && compare(candidate, character) === 0) return candidate;
    }
    return character;
  }

  function mapped(character: string): string {
    let form = known.get(character);
    if (form === undefined) {
      form = simplest(character);
      if (known.size >= CACHE_LIMIT) known.clear();
      known.set(character, form);
    }
    return form;
  }

  return (text) => {
    let result = '';
    for (const character of text.normalize('NFD')) result += mapped(character);
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
