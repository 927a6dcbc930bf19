import type { ObjectId } from 'mongodb';
import {
  MAX_CALL_PARTICIPANTS,
  MAX_JOINED,
  type CallEndReason,
  type CallParticipant,
  type SetCallMediaInput,
} from '../../models/video-call.model';
import {
  aloneUntil,
  exit,
  finish,
  GRACE_MS,
  isOpen,
  isSameDevice,
  joinedOf,
  keepsConnection,
  lose,
  miss,
  newParticipant,
  participantOf,
  ring,
} from './call-changes';
import type { CallEvent, Device, Draft } from './call-events';

export function accept(draft: Draft, { userId, device }: { userId: ObjectId; device: Device }) {
  const own = participantOf(draft.call, userId);
  if (own?.state === 'joined') return isSameDevice(own, device) ? 'same' : 'answered_elsewhere';
  if (own?.state !== 'ringing') return 'not_ringing';
  return enter(draft, own, device);
}

export function join(draft: Draft, { userId, device }: { userId: ObjectId; device: Device }) {
  const { call } = draft;
  let own = participantOf(call, userId);
  if (!own) {
    if (call.participants.length >= MAX_CALL_PARTICIPANTS) return 'call_full';
    own = newParticipant(userId, null);
    call.participants.push(own);
  }
  // A device that resumes must not take the call from the one to which the user has moved it meanwhile.
  const resumes = device.peerId !== undefined;
  if (resumes && own.state === 'joined' && !isSameDevice(own, device)) return 'answered_elsewhere';
  return enter(draft, own, device);
}

/** Lets a participant into the call, or changes the device on which they are in it. */
export function enter(draft: Draft, own: CallParticipant, device: Device) {
  const { call, now } = draft;
  const { sessionId, connection } = device;
  if (own.state === 'joined') {
    if (isSameDevice(own, device)) {
      if (!connection || keepsConnection(own.connection, connection)) return 'same';
      own.connection = connection;
      own.leaveAt = null;
      return undefined;
    }
  } else {
    if (joinedOf(call).length >= MAX_JOINED) return 'call_full';
    Object.assign(own, { state: 'joined', ringUntil: null, joinedAt: now, leftAt: null });
    Object.assign(own, { audio: true, video: call.media === 'video' });
  }
  Object.assign(own, { screen: false, hand: false, connection });
  own.place = { sessionId, peerId: device.newPeerId };
  own.leaveAt = connection ? null : new Date(now.getTime() + GRACE_MS);
  return undefined;
}

export function decline(draft: Draft, { userId }: { userId: ObjectId }) {
  const own = participantOf(draft.call, userId);
  if (own?.state === 'declined') return 'same';
  if (own?.state !== 'ringing') return 'not_ringing';
  Object.assign(own, { state: 'declined', ringUntil: null });
  draft.endReason = 'declined';
  return undefined;
}

export function cancel(draft: Draft, { userId }: { userId: ObjectId }) {
  if (!draft.call.startedBy.equals(userId)) return 'forbidden';
  finish(draft, 'cancelled');
  return undefined;
}

export function leave(draft: Draft, { userId, sessionId }: { userId: ObjectId; sessionId?: ObjectId }) {
  const own = participantOf(draft.call, userId);
  if (own?.state === 'left') return 'same';
  if (own?.state !== 'joined') return 'not_in_call';
  if (sessionId && !own.place?.sessionId.equals(sessionId)) return 'same';
  exit(draft, own, 'left');
  draft.endReason = draft.call.state === 'ringing' ? 'cancelled' : 'hung_up';
  return undefined;
}

export function invite(draft: Draft, event: { userId: ObjectId; userIds: ObjectId[]; busy: ObjectId[] }) {
  const { call } = draft;
  if (participantOf(call, event.userId)?.state !== 'joined') return 'not_in_call';
  const added = event.userIds.filter((id) => !participantOf(call, id)).length;
  if (call.participants.length + added > MAX_CALL_PARTICIPANTS) return 'call_full';
  const open = event.userIds.filter((id) => !isOpen(participantOf(call, id)));
  if (open.length === 0) return 'same';
  ring(draft, event.userId, open, event.busy);
  return undefined;
}

export function move(draft: Draft, event: Extract<CallEvent, { type: 'move' }>) {
  const { call } = draft;
  if (participantOf(call, event.userId)?.state !== 'joined') return 'not_in_call';
  // It has been moved already.
  if (!call.pair) return 'not_in_call';
  const { channelId, messageId } = call;
  Object.assign(call, { channelId: event.channelId, pair: false, messageId: null });
  call.movedFrom = { channelId, messageId };
  const added = event.userIds.filter((id) => !isOpen(participantOf(call, id)));
  ring(draft, event.userId, added, event.busy);
  return undefined;
}

export function setMedia(
  draft: Draft,
  { userId, changes }: { userId: ObjectId; changes: SetCallMediaInput },
) {
  const own = participantOf(draft.call, userId);
  if (own?.state !== 'joined') return 'not_in_call';
  let changed = false;
  for (const field of ['audio', 'video', 'screen', 'hand'] as const) {
    const value = changes[field];
    if (value === undefined || value === own[field]) continue;
    own[field] = value;
    changed = true;
  }
  return changed ? undefined : 'same';
}

export function attach(draft: Draft, event: Extract<CallEvent, { type: 'attach' }>) {
  const own = participantOf(draft.call, event.userId);
  const { place } = own ?? {};
  if (own?.state !== 'joined' || !place) return 'not_in_call';
  if (place.peerId !== event.peerId || !place.sessionId.equals(event.sessionId)) return 'not_in_call';
  own.connection = event.connection;
  own.leaveAt = null;
  return undefined;
}

export function detach(draft: Draft, { userId, connectionId }: { userId: ObjectId; connectionId: string }) {
  const own = participantOf(draft.call, userId);
  // A device that has another connection by now is still there.
  if (own?.connection?.id !== connectionId) return 'same';
  lose(draft, own);
  return undefined;
}

export function loseNodes(draft: Draft, { nodeIds }: { nodeIds: ReadonlySet<string> }) {
  const lost = joinedOf(draft.call).filter(({ connection }) => connection && nodeIds.has(connection.nodeId));
  if (lost.length === 0) return 'same';
  for (const own of lost) lose(draft, own);
  return undefined;
}

export function remove(draft: Draft, { userIds }: { userIds: ObjectId[] }) {
  for (const userId of userIds) {
    const own = participantOf(draft.call, userId);
    if (!isOpen(own)) continue;
    exit(draft, own, 'removed');
    draft.removed.push(userId);
  }
  draft.endReason = 'access_lost';
  return draft.removed.length > 0 ? undefined : 'same';
}

export function passTime(draft: Draft) {
  const { call, now } = draft;
  const isDue = (at: Date | null | undefined) => at instanceof Date && at <= now;
  let changed = false;
  for (const own of call.participants) {
    if (isDue(own.ringUntil)) {
      miss(own, 'missed');
      draft.endReason = 'no_answer';
      changed = true;
    } else if (isDue(own.leaveAt)) {
      exit(draft, own, 'left');
      draft.endReason = 'connection_lost';
      changed = true;
    }
  }
  if (isDue(aloneUntil(call))) {
    finish(draft, 'alone');
    changed = true;
  }
  return changed ? undefined : 'same';
}

export function end(draft: Draft, { userId, reason }: { userId: ObjectId | null; reason: CallEndReason }) {
  draft.call.endedBy = userId;
  finish(draft, reason);
  return undefined;
}
