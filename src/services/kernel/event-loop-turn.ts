/**
 * The turns of the event loop, for work that is done together for all that arrives in a turn. Each step is shared by its
 * callers, and costs the same for one as for many.
 */
let reading: Promise<void> | undefined;
/** The end of the turn whose input has been read. */
let prepared: Promise<void> | undefined;

/** Resolves when the input of this turn has been read: all of it, from all sockets. */
export function inputRead(): Promise<void> {
  if (reading) return reading;
  reading = immediate(() => {
    reading = undefined;
    prepared = endOfTurn;
  });
  // Immediates that are requested together run in one turn, and what the first one causes is done before the second one.
  const endOfTurn: Promise<void> = immediate(() => {
    if (prepared === endOfTurn) prepared = undefined;
  });
  return reading;
}

/**
 * Resolves when everybody who waited for `inputRead` in this turn has done what they do without waiting for anything else.
 * Outside of that it resolves in the next turn.
 */
export function turnPrepared(): Promise<void> {
  return prepared ?? immediate(() => {});
}

function immediate(before: () => void): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => {
      before();
      resolve();
    });
  });
}
