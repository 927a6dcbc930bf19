/** The longest name, in UTF-16 code units. */
const MAX_LENGTH = 200;
/** Names are cut to this length before their Unicode normalisation, which takes quadratic time. */
const MAX_NORMALIZED = 1000;
/** Control characters, and those that change the writing direction, which make `exe.gpj` look like `jpg.exe`. */
const MISLEADING = /[\p{Cc}\p{Bidi_Control}]/gu;
const DEFAULT_NAME = 'file';

/**
 * Returns the name under which a file is shown: the last part of the path that a client sent, as one line of well-formed
 * text.
 */
export function displayName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? '';
  const shown = shorten(last.toWellFormed(), MAX_NORMALIZED).normalize('NFC').replace(MISLEADING, '').trim();
  return /^\.*$/.test(shown) ? DEFAULT_NAME : shorten(shown);
}

/** Returns the name with another ending. */
export function withEnding(name: string, ending: string): string {
  return shorten(`${name.replace(/\.[^.]*$/, '')}.${ending}`);
}

/** Shortens a name and keeps its ending. */
function shorten(name: string, max = MAX_LENGTH): string {
  if (name.length <= max) return name;
  const ending = /\.[^.]{1,20}$/.exec(name)?.[0] ?? '';
  return name.slice(0, max - ending.length).toWellFormed() + ending;
}
