import { peerFrame, type PeerSignal } from '../models/calls/peer.model';
import type { PublicError } from '../utils/errors';

/** The frame by which PeerJS reports an error to a client; the fields besides `msg` are Parley's. */
export function errorFrame({ message, ...rest }: PublicError): string {
  return JSON.stringify({ type: 'ERROR', payload: { msg: message, ...rest } });
}

type CheckedFrame = { value: PeerSignal | { type: 'HEARTBEAT' } } | { error: PublicError };

/** Parses and validates a frame. A LEAVE frame with an empty `dst` leaves the server. */
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

/** Whether a value is nested no deeper than `levels`. The recursion is as deep as that at most. */
function isWithinDepth(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => isWithinDepth(inner, levels - 1));
}
