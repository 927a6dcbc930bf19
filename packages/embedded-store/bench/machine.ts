import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const APPENDS = 300;

/** Appends of `bytes` to a plain file in `folder` per second, each flushed: what one durable write costs there. */
export function plainAppends(folder: string, bytes: number): number {
  const path = join(folder, 'plain');
  const file = openSync(path, 'a');
  const record = Buffer.alloc(bytes, 1);
  const begun = performance.now();
  for (let i = 0; i < APPENDS; i++) {
    writeSync(file, record);
    fdatasyncSync(file);
  }
  const spent = performance.now() - begun;
  closeSync(file);
  rmSync(path);
  return APPENDS / (spent / 1000);
}

/** Lookups per second in a JavaScript Map of as many documents, by the hexadecimal form of an id. */
export function mapLookups(size: number): number {
  const ids = Array.from({ length: size }, (_, i) => i.toString(16).padStart(24, '0'));
  const documents = new Map(ids.map((id, seq) => [id, { seq }]));
  const count = 1_000_000;
  let sum = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) sum += documents.get(ids[(i * 7919) % size] ?? '')?.seq ?? 0;
  const spent = performance.now() - begun;
  if (sum === 0) throw new Error('the map found nothing');
  return count / (spent / 1000);
}

/** Memory of a process in MiB: of its own, and resident with the pages of the mapped file (Linux). */
export function memory(pid: number): string {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
    return `${Math.round(kilobytes('RssAnon') / 1024)} MiB own, ${Math.round(kilobytes('VmRSS') / 1024)} MiB with file pages`;
  } catch {
    return 'unknown here';
  }
}

/** The most milliseconds that a timer of this thread came late while `work` ran. */
export async function timerDelay(work: () => Promise<unknown>): Promise<number> {
  const interval = 5;
  let worst = 0;
  let expected = performance.now() + interval;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - expected);
    expected = now + interval;
  }, interval);
  await work();
  clearInterval(timer);
  return worst;
}
