import type { Report } from './check';

/** Nodes keep leases of ten seconds by their own clocks (services/kernel/node-registry.ts). In milliseconds. */
const LARGE = 5000;
const NOTICEABLE = 1000;

/**
 * Reports how far the clock of another machine differs from the clock of this one.
 * @param read returns its time, in milliseconds since 1970.
 */
export async function compareClocks(
  name: string,
  report: Report,
  read: () => Promise<number>,
): Promise<void> {
  const before = Date.now();
  const theirs = await read();
  const after = Date.now();
  // The time was read at an unknown moment between the two.
  const difference = Math.max(0, theirs - after, before - theirs);
  const [status, message] = assessClock(name, difference);
  const advice = 'Let all machines take their time from the same servers (NTP).';
  report(status, message, status === 'ok' ? undefined : advice);
}

/** Judges a difference in milliseconds. */
export function assessClock(name: string, difference: number): ['ok' | 'warning' | 'error', string] {
  if (difference < NOTICEABLE) return ['ok', `the clock of ${name} agrees with that of this machine`];
  const message = `the clock of ${name} differs from that of this machine by ${(difference / 1000).toFixed(1)} s`;
  return [difference < LARGE ? 'warning' : 'error', message];
}
