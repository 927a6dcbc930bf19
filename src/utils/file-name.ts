/** The longest name, in UTF-16 code units. */
const MAX_LENGTH = 200;
/** What is kept of a name while its characters are put in normal form: that takes time with the square of the length. */
const MAX_NORMALIZED = 1000;
/** Control characters, and those that turn the direction of writing, by which `exe.gpj` passes for `jpg.exe`. */
const MISLEADING = /[\p{Cc}\p{Bidi_Control}]/gu;
const NAMELESS = 'file';

/**
 * What a file is shown as: the last part of what its sender called it, in one line of well-formed text.
 * @param name whatever a client has sent.
 */
export function displayName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? '';
  const shown = shorten(last.toWellFormed(), MAX_NORMALIZED).normalize('NFC').replace(MISLEADING, '').trim();
  return /^\.*$/.test(shown) ? NAMELESS : shorten(shown);
}

/** The same name with another ending. */
export function withEnding(name: string, ending: string): string {
  return shorten(`${name.replace(/\.[^.]*$/, '')}.${ending}`);
}

/** Cuts what stands before the ending. */
function shorten(name: string, max = MAX_LENGTH): string {
  if (name.length <= max) return name;
  const ending = /\.[^.]{1,20}$/.exec(name)?.[0] ?? '';
  return name.slice(0, max - ending.length).toWellFormed() + ending;
}
