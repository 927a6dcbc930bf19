import { peerFrame, type PeerSignal } from '../models/calls/peer.model';
import type { PublicError } from '../utils/errors';

/** The frame by which PeerJS tells a client of an error; the fields beside `msg` are Parley's. */
export function errorFrame({ message, ...rest }: PublicError): string {
  return JSON.stringify({ type: 'ERROR', payload: { msg: message, ...rest } });
}

type CheckedFrame = { value: PeerSignal | { type: 'HEARTBEAT' } } | { error: PublicError };

/** Checks a frame. To leave the server, a frame says LEAVE with an empty `dst`. */
export function readFrame(data: Buffer, maxDepth: number): CheckedFrame {
  let content: unknown;
  try {
    content = JSON.parse(data.toString());
  } catch {
    return refusal('The frame is not JSON.');
  }
  if (!isWithinDepth(content, maxDepth))
    return refusal(`The frame is nested deeper than ${maxDepth} levels.`);
  const checked = peerFrame.safeParse(content);
  if (!checked.success) {
    const issue = checked.error.issues[0];
    return refusal(`The frame is not valid: ${issue?.path.join('.') || 'frame'}: ${issue?.message ?? ''}.`);
  }
  const { data: value } = checked;
  return { value: value.type === 'LEAVE' ? { type: 'LEAVE', dst: value.dst ?? '' } : value };
}

function refusal(message: string): { error: PublicError } {
  return { error: { code: 'validation_failed', message } };
}

/** Recursion goes no deeper than `levels`. */
function isWithinDepth(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => isWithinDepth(inner, levels - 1));
}
