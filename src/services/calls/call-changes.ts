import type { ObjectId } from 'mongodb';
import type {
  CallConnectionRecord,
  CallEndReason,
  CallOutcome,
  CallParticipant,
  VideoCallDocument,
} from '../../models/video-call.model';
import type { Device, Draft } from './call-events';

/** How long a user is called. */
export const RING_MS = 30_000;
/** How long a participant stays in a call without a connection. */
export const GRACE_MS = 15_000;
/** How long a call goes on with a single person in it, if it is not a call of two. */
export const ALONE_MS = 10 * 60_000;

export function ring(draft: Draft, invitedBy: ObjectId, userIds: ObjectId[], busy: ObjectId[]): void {
  const { call, now } = draft;
  for (const userId of userIds) {
    let own = participantOf(call, userId);
    if (!own) call.participants.push((own = newParticipant(userId, invitedBy)));
    own.invitedBy = invitedBy;
    if (busy.some((id) => id.equals(userId))) {
      miss(own, 'busy');
      continue;
    }
    own.state = 'ringing';
    own.ringUntil = new Date(now.getTime() + RING_MS);
    draft.rung.push(userId);
  }
}

export function miss(own: CallParticipant, state: 'missed' | 'busy'): void {
  Object.assign(own, { state, ringUntil: null, notifyDue: true });
}

export function lose(draft: Draft, own: CallParticipant): void {
  own.connection = null;
  own.leaveAt = new Date(draft.now.getTime() + GRACE_MS);
}

/** Takes a participant out of the call. */
export function exit({ now }: Draft, own: CallParticipant, state: 'left' | 'removed'): void {
  if (own.state === 'joined' && own.joinedAt) {
    own.talkMs += now.getTime() - own.joinedAt.getTime();
    own.leftAt = now;
  }
  Object.assign(own, { state, ringUntil: null, place: null, connection: null, leaveAt: null });
  Object.assign(own, { audio: false, video: false, screen: false, hand: false });
}

/** Ends the call for everybody. */
export function finish(draft: Draft, reason: CallEndReason): void {
  const { call, now } = draft;
  for (const own of call.participants) {
    if (own.state === 'joined') exit(draft, own, 'left');
    else if (own.state === 'ringing') miss(own, 'missed');
  }
  call.outcome = outcomeOf(call, reason);
  Object.assign(call, { state: 'ended', endReason: reason, endedAt: now });
}

function outcomeOf({ answeredAt, participants }: VideoCallDocument, reason: CallEndReason): CallOutcome {
  if (answeredAt) return 'completed';
  if (reason === 'no_answer' || reason === 'alone') return 'missed';
  if (reason === 'busy') return 'busy';
  if (reason !== 'declined') return 'cancelled';
  // The last one declined, after others had not answered.
  return participants.some(({ state }) => state === 'missed') ? 'missed' : 'declined';
}

export function aloneUntil({ aloneSince }: VideoCallDocument): Date | undefined {
  return aloneSince && new Date(aloneSince.getTime() + ALONE_MS);
}

export function newParticipant(userId: ObjectId, invitedBy: ObjectId | null): CallParticipant {
  return {
    userId,
    state: 'left',
    invitedBy,
    ringUntil: null,
    place: null,
    connection: null,
    leaveAt: null,
    joinedAt: null,
    leftAt: null,
    talkMs: 0,
    audio: false,
    video: false,
    screen: false,
    hand: false,
  };
}

/** The participant of a user. */
export function participantOf(call: VideoCallDocument, userId: ObjectId): CallParticipant | undefined {
  return call.participants.find((one) => one.userId.equals(userId));
}

/** The participants who are in the call. */
export function joinedOf({ participants }: VideoCallDocument): CallParticipant[] {
  return participants.filter(({ state }) => state === 'joined');
}

/** Whether a participant is in the call, or called. */
export function isOpen(own: CallParticipant | undefined): own is CallParticipant {
  return own?.state === 'joined' || own?.state === 'ringing';
}

/** Whether a user who has joined enters again on the device on which they are in the call. */
export function isSameDevice({ place, connection }: CallParticipant, device: Device): boolean {
  if (!place?.sessionId.equals(device.sessionId)) return false;
  if (device.peerId === place.peerId) return true;
  // A repeated request, such as a double click, or one whose answer with a new peer id was lost.
  return device.connection !== null && connection?.id === device.connection.id;
}

/**
 * Whether a participant keeps their connection when their device resumes the call with a socket. A former socket may be
 * lost without the server having noticed, because its node was killed or the device has changed its network. A peer on
 * another node may be, too; one on this node reports its end.
 */
export function keepsConnection(own: CallConnectionRecord | null, resumed: CallConnectionRecord): boolean {
  return own?.id === resumed.id || (own?.kind === 'peer' && own.nodeId === resumed.nodeId);
}
