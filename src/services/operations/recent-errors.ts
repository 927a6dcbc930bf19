import type { ErrorGroup } from '../../models/operations/diagnostics.model';
import { toPublicError } from '../../utils/errors';

/** Groups that are kept; of more, those that were seen last. */
const MAX_GROUPS = 200;
const MAX_TEXT = 200;

/** The errors of this process since its start, grouped. They hold nothing that a caller has sent. */
export class RecentErrors {
  /** The one seen last is the last one. */
  private readonly groups = new Map<string, ErrorGroup>();

  /** @param name the route or the socket event. */
  note(name: string, error: unknown, requestId: string | null): void {
    const { code } = toPublicError(error);
    const text = describe(error);
    const key = `${code} ${name} ${text}`;
    const now = new Date().toISOString();
    const group = this.groups.get(key) ?? {
      code,
      name,
      text,
      count: 0,
      firstAt: now,
      lastAt: now,
      requestId,
    };
    group.count++;
    group.lastAt = now;
    group.requestId = requestId;
    this.groups.delete(key);
    this.groups.set(key, group);
    const [oldest] = this.groups.keys();
    if (this.groups.size > MAX_GROUPS && oldest !== undefined) this.groups.delete(oldest);
  }

  /** The one seen last first. */
  list(): ErrorGroup[] {
    return [...this.groups.values()].reverse();
  }
}

/** What an error says, and where it was made, without anything that differs from one to the next. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /\n {4}at (.*?)(?: \(|\n|$)/.exec(error.stack ?? '')?.[1] ?? '';
  return `${error.name}: ${withoutDetails(error.message)}${place && ` at ${withoutDetails(place)}`}`;
}

/** Leaves out quoted text, objects, addresses, paths, numbers and whatever looks like a token. */
function withoutDetails(text: string): string {
  return text
    .slice(0, 2000)
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, '"…"')
    .replace(/\{[^{}]*\}/g, '{…}')
    .replace(/\S+/g, (word) => (word.length >= 25 || /[@/\\]/.test(word) ? '…' : word))
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b|\d+/gi, '#')
    .slice(0, MAX_TEXT);
}
