import type { ObjectId } from 'mongodb';
import {
  MAX_CALL_PARTICIPANTS,
  MAX_JOINED,
  type CallConnectionRecord,
  type CallEndReason,
  type CallOutcome,
  type CallParticipant,
  type CallState,
  type SetCallMediaInput,
  type VideoCallDocument,
} from '../../models/video-call.model';
import { AppError, type ErrorCode } from '../../utils/errors';

/** How long a user is called. */
export const RING_MS = 30_000;
/** How long a participant stays in a call without a connection. */
export const GRACE_MS = 15_000;
/** How long a call goes on with a single person in it, if it is not a call of two. */
export const ALONE_MS = 10 * 60_000;

/** The device on which a user enters a call. */
export interface Device {
  sessionId: ObjectId;
  /** The peer id that it gets, unless it resumes an earlier one. */
  newPeerId: string;
  /** Its peer id in this call before a disconnection. */
  peerId?: string;
  /** Its open connection to the server, if that is known. */
  connection: CallConnectionRecord | null;
}

/** Something that happens to a call. */
export type CallEvent =
  /** A user who is called answers. */
  | { type: 'accept'; userId: ObjectId; device: Device }
  /** A reader of the channel comes in, resumes after a disconnection, or moves to another device. */
  | { type: 'join'; userId: ObjectId; device: Device }
  | { type: 'decline'; userId: ObjectId }
  | { type: 'cancel'; userId: ObjectId }
  /** @property sessionId only if this session is in the call; any by default. */
  | { type: 'leave'; userId: ObjectId; sessionId?: ObjectId }
  /** @property busy those of `userIds` who are in another call. */
  | { type: 'invite'; userId: ObjectId; userIds: ObjectId[]; busy: ObjectId[] }
  /**
   * A call of two goes on in a conversation of several people, to which `userIds` belong.
   * @property busy those of `userIds` who are in another call.
   */
  | { type: 'move'; userId: ObjectId; channelId: ObjectId; userIds: ObjectId[]; busy: ObjectId[] }
  | { type: 'set_media'; userId: ObjectId; changes: SetCallMediaInput }
  /** The peer of a participant has connected. */
  | {
      type: 'attach';
      userId: ObjectId;
      sessionId: ObjectId;
      peerId: string;
      connection: CallConnectionRecord;
    }
  /** A connection was lost. */
  | { type: 'detach'; userId: ObjectId; connectionId: string }
  /** The nodes on which connections were have stopped. */
  | { type: 'lose_nodes'; nodeIds: ReadonlySet<string> }
  /** Users lost the right to be in the call. */
  | { type: 'remove'; userIds: ObjectId[] }
  /** Time has passed. */
  | { type: 'time' }
  /** The call ends for everybody. */
  | { type: 'end'; userId: ObjectId | null; reason: CallEndReason };

export type CallEventType = CallEvent['type'];

/** The result of an event. */
export interface Transition {
  /** The call after the event: the same object if nothing has changed. */
  call: VideoCallDocument;
  /** The users who are called from now on. */
  rung: ObjectId[];
  /** The users who were in the call or called, and may not be any more. */
  removed: ObjectId[];
}

/** A call that a handler may change, and what is to be told. */
interface Draft {
  call: VideoCallDocument;
  now: Date;
  rung: ObjectId[];
  removed: Transition['removed'];
  /** What ends the call, if it ends by this event. */
  endReason: CallEndReason;
}

/** Changes the draft. @returns the code of a refusal, or `same` if the event changes nothing. */
type Handler<Event> = (draft: Draft, event: Event) => ErrorCode | 'same' | undefined;

/** What an event does in one state of a call. */
type Cell<Event> =
  /** It changes the call, which is in one of these states afterwards. */
  | { apply: Handler<Event>; to: readonly CallState[] }
  /** It is refused with this code. */
  | { refuse: ErrorCode }
  /** It has no effect. */
  | 'same';

/** One row of the table. */
export interface Row<Event> extends Record<CallState, Cell<Event>> {
  /** Who may cause it, as a sentence for the documentation. */
  who: string;
  /** Who is told: the readers of the channel, users who are called, users who are removed. */
  tells: readonly ('readers' | 'rung' | 'removed')[];
}

const ENDED = { refuse: 'call_ended' } as const;
const READERS = ['readers'] as const;
const OPEN: readonly CallState[] = ['ringing', 'active'];

/** The state machine of a call: what each event does in each state. */
export const CALL_TABLE: { readonly [Type in CallEventType]: Row<Extract<CallEvent, { type: Type }>> } = {
  accept: {
    who: 'A participant who is called, on one device.',
    tells: READERS,
    ringing: { apply: accept, to: ['active'] },
    active: { apply: accept, to: ['active'] },
    ended: ENDED,
  },
  join: {
    who: 'A reader of the channel.',
    tells: READERS,
    ringing: { apply: join, to: OPEN },
    active: { apply: join, to: ['active'] },
    ended: ENDED,
  },
  decline: {
    who: 'A participant who is called.',
    tells: READERS,
    ringing: { apply: decline, to: ['ringing', 'ended'] },
    active: { apply: decline, to: ['active'] },
    ended: ENDED,
  },
  cancel: {
    who: 'The user who started the call.',
    tells: READERS,
    ringing: { apply: cancel, to: ['ended'] },
    active: { refuse: 'call_answered' },
    ended: ENDED,
  },
  leave: {
    who: 'A participant who is in the call.',
    tells: READERS,
    ringing: { apply: leave, to: ['ended'] },
    active: { apply: leave, to: ['active', 'ended'] },
    ended: 'same',
  },
  invite: {
    who: 'A participant who is in the call, for readers of the channel.',
    tells: ['readers', 'rung'],
    ringing: { apply: invite, to: ['ringing'] },
    active: { apply: invite, to: ['active'] },
    ended: ENDED,
  },
  move: {
    who: 'A participant of a call of two who calls further people: it goes on in a new conversation with all of them.',
    tells: ['readers', 'rung'],
    ringing: { apply: move, to: ['ringing'] },
    active: { apply: move, to: ['active'] },
    ended: ENDED,
  },
  set_media: {
    who: 'A participant who is in the call.',
    tells: READERS,
    ringing: { apply: setMedia, to: ['ringing'] },
    active: { apply: setMedia, to: ['active'] },
    ended: ENDED,
  },
  attach: {
    who: 'The server, when the peer of a participant connects.',
    tells: READERS,
    ringing: { apply: attach, to: ['ringing'] },
    active: { apply: attach, to: ['active'] },
    ended: ENDED,
  },
  detach: {
    who: 'The server, when the connection of a participant is lost.',
    tells: READERS,
    ringing: { apply: detach, to: ['ringing'] },
    active: { apply: detach, to: ['active'] },
    ended: 'same',
  },
  lose_nodes: {
    who: 'The server, when another node has stopped.',
    tells: READERS,
    ringing: { apply: loseNodes, to: ['ringing'] },
    active: { apply: loseNodes, to: ['active'] },
    ended: 'same',
  },
  remove: {
    who: 'The server, when users lose access to the channel, their account or the other person of a conversation.',
    tells: ['readers', 'removed'],
    ringing: { apply: remove, to: ['ringing', 'ended'] },
    active: { apply: remove, to: ['active', 'ended'] },
    ended: 'same',
  },
  time: {
    who: 'The server, when a time-out is due.',
    tells: READERS,
    ringing: { apply: passTime, to: ['ringing', 'ended'] },
    active: { apply: passTime, to: ['active', 'ended'] },
    ended: 'same',
  },
  end: {
    who: 'The user who started the call, either person of a conversation of two, a moderator of the group, or an administrator.',
    tells: READERS,
    ringing: { apply: end, to: ['ended'] },
    active: { apply: end, to: ['ended'] },
    ended: 'same',
  },
};

const REFUSALS: Partial<Record<ErrorCode, string>> = {
  call_ended: 'The call has ended.',
  call_answered: 'The call has been answered. Leave it instead.',
  call_full: `A call has at most ${MAX_JOINED} people.`,
  answered_elsewhere:
    'You are in this call on another device. Join it without `peerId` to move it to this one.',
  not_ringing: 'You are not being called.',
  not_in_call: 'You are not in this call.',
  forbidden: 'Only the user who started the call may cancel it.',
};

/**
 * Applies an event to a call. This is a pure function: the given call is not changed.
 * @throws AppError with the code of the table if the event is not possible in the state of the call.
 */
export function transition(call: VideoCallDocument, event: CallEvent, now: Date): Transition {
  const cell = CALL_TABLE[event.type][call.state] as Cell<CallEvent>;
  if (cell === 'same') return { call, rung: [], removed: [] };
  if ('refuse' in cell) throw refusal(cell.refuse);
  const draft: Draft = {
    call: { ...call, participants: call.participants.map((one) => ({ ...one })) },
    now,
    rung: [],
    removed: [],
    endReason: 'hung_up',
  };
  const refused = cell.apply(draft, event);
  if (refused === 'same') return { call, rung: [], removed: [] };
  if (refused) throw refusal(refused);
  settle(draft);
  if (!cell.to.includes(draft.call.state)) {
    throw new Error(`${event.type} must not lead from ${call.state} to ${draft.call.state}.`);
  }
  draft.call.version++;
  return { call: draft.call, rung: draft.rung, removed: draft.removed };
}

/** What a new call starts with. */
export interface NewCall {
  _id: ObjectId;
  channelId: ObjectId;
  groupId: ObjectId | null;
  pair: boolean;
  media: VideoCallDocument['media'];
  startedBy: ObjectId;
  device: Device;
  /** The users to call, without the caller; nobody for a call that readers of the channel may join. */
  userIds: ObjectId[];
  /** Those of them who are in another call. */
  busy: ObjectId[];
}

/** Starts a call. It has ended at once if all whom it calls are busy. */
export function startCall(input: NewCall, now: Date): Transition {
  const { device, userIds, busy, ...rest } = input;
  const call: VideoCallDocument = {
    ...rest,
    state: userIds.length > 0 ? 'ringing' : 'active',
    outcome: null,
    endReason: null,
    endedBy: null,
    participants: [],
    version: 1,
    messageId: null,
    createdAt: now,
    answeredAt: null,
    endedAt: null,
  };
  const endReason = busy.length > 0 ? 'busy' : 'no_answer';
  const draft: Draft = { call, now, rung: [], removed: [], endReason };
  const caller = newParticipant(input.startedBy, null);
  call.participants.push(caller);
  enter(draft, caller, device);
  ring(draft, input.startedBy, userIds, busy);
  settle(draft);
  return { call, rung: draft.rung, removed: [] };
}

function accept(draft: Draft, { userId, device }: { userId: ObjectId; device: Device }) {
  const own = participantOf(draft.call, userId);
  if (own?.state === 'joined') return isSameDevice(own, device) ? 'same' : 'answered_elsewhere';
  if (own?.state !== 'ringing') return 'not_ringing';
  return enter(draft, own, device);
}

function join(draft: Draft, { userId, device }: { userId: ObjectId; device: Device }) {
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
function enter(draft: Draft, own: CallParticipant, device: Device) {
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

function decline(draft: Draft, { userId }: { userId: ObjectId }) {
  const own = participantOf(draft.call, userId);
  if (own?.state === 'declined') return 'same';
  if (own?.state !== 'ringing') return 'not_ringing';
  Object.assign(own, { state: 'declined', ringUntil: null });
  draft.endReason = 'declined';
  return undefined;
}

function cancel(draft: Draft, { userId }: { userId: ObjectId }) {
  if (!draft.call.startedBy.equals(userId)) return 'forbidden';
  finish(draft, 'cancelled');
  return undefined;
}

function leave(draft: Draft, { userId, sessionId }: { userId: ObjectId; sessionId?: ObjectId }) {
  const own = participantOf(draft.call, userId);
  if (own?.state === 'left') return 'same';
  if (own?.state !== 'joined') return 'not_in_call';
  if (sessionId && !own.place?.sessionId.equals(sessionId)) return 'same';
  exit(draft, own, 'left');
  draft.endReason = draft.call.state === 'ringing' ? 'cancelled' : 'hung_up';
  return undefined;
}

function invite(draft: Draft, event: { userId: ObjectId; userIds: ObjectId[]; busy: ObjectId[] }) {
  const { call } = draft;
  if (participantOf(call, event.userId)?.state !== 'joined') return 'not_in_call';
  const added = event.userIds.filter((id) => !participantOf(call, id)).length;
  if (call.participants.length + added > MAX_CALL_PARTICIPANTS) return 'call_full';
  const open = event.userIds.filter((id) => !isOpen(participantOf(call, id)));
  if (open.length === 0) return 'same';
  ring(draft, event.userId, open, event.busy);
  return undefined;
}

function move(draft: Draft, event: Extract<CallEvent, { type: 'move' }>) {
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

function setMedia(draft: Draft, { userId, changes }: { userId: ObjectId; changes: SetCallMediaInput }) {
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

function attach(draft: Draft, event: Extract<CallEvent, { type: 'attach' }>) {
  const own = participantOf(draft.call, event.userId);
  const { place } = own ?? {};
  if (own?.state !== 'joined' || !place) return 'not_in_call';
  if (place.peerId !== event.peerId || !place.sessionId.equals(event.sessionId)) return 'not_in_call';
  own.connection = event.connection;
  own.leaveAt = null;
  return undefined;
}

function detach(draft: Draft, { userId, connectionId }: { userId: ObjectId; connectionId: string }) {
  const own = participantOf(draft.call, userId);
  // A device that has another connection by now is still there.
  if (own?.connection?.id !== connectionId) return 'same';
  lose(draft, own);
  return undefined;
}

function loseNodes(draft: Draft, { nodeIds }: { nodeIds: ReadonlySet<string> }) {
  const lost = joinedOf(draft.call).filter(({ connection }) => connection && nodeIds.has(connection.nodeId));
  if (lost.length === 0) return 'same';
  for (const own of lost) lose(draft, own);
  return undefined;
}

function remove(draft: Draft, { userIds }: { userIds: ObjectId[] }) {
  for (const userId of userIds) {
    const own = participantOf(draft.call, userId);
    if (!isOpen(own)) continue;
    exit(draft, own, 'removed');
    draft.removed.push(userId);
  }
  draft.endReason = 'access_lost';
  return draft.removed.length > 0 ? undefined : 'same';
}

function passTime(draft: Draft) {
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

function end(draft: Draft, { userId, reason }: { userId: ObjectId | null; reason: CallEndReason }) {
  draft.call.endedBy = userId;
  finish(draft, reason);
  return undefined;
}

function ring(draft: Draft, invitedBy: ObjectId, userIds: ObjectId[], busy: ObjectId[]): void {
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

function miss(own: CallParticipant, state: 'missed' | 'busy'): void {
  Object.assign(own, { state, ringUntil: null, notifyDue: true });
}

function lose(draft: Draft, own: CallParticipant): void {
  own.connection = null;
  own.leaveAt = new Date(draft.now.getTime() + GRACE_MS);
}

/** Takes a participant out of the call. */
function exit({ now }: Draft, own: CallParticipant, state: 'left' | 'removed'): void {
  if (own.state === 'joined' && own.joinedAt) {
    own.talkMs += now.getTime() - own.joinedAt.getTime();
    own.leftAt = now;
  }
  Object.assign(own, { state, ringUntil: null, place: null, connection: null, leaveAt: null });
  Object.assign(own, { audio: false, video: false, screen: false, hand: false });
}

/** Ends the call for everybody. */
function finish(draft: Draft, reason: CallEndReason): void {
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

/** Sets the state of the call, and the fields that follow from its participants. */
function settle(draft: Draft): void {
  const { call, now } = draft;
  const isFull = () => joinedOf(call).length >= 2;
  if (call.state !== 'ended') {
    if (isFull()) {
      call.state = 'active';
      call.answeredAt ??= now;
    } else if (isOver(call)) finish(draft, draft.endReason);
  }
  const joined = joinedOf(call).map(({ userId }) => userId);
  const isAlone = call.state === 'active' && joined.length === 1;
  assignOrDelete(call, 'aloneSince', isAlone ? (call.aloneSince ?? now) : undefined);
  assignOrDelete(call, 'open', call.state === 'ended' ? undefined : true);
  assignOrDelete(call, 'inCall', joined.length > 0 ? joined : undefined);
  assignOrDelete(call, 'dueAt', dueAtOf(call));
  call.recordDue = true;
}

/** Whether nothing can come of a call with fewer than two people in it any more. */
function isOver(call: VideoCallDocument): boolean {
  const joined = joinedOf(call).length;
  if (joined === 0) return true;
  if (call.state === 'active') return call.pair;
  return !call.participants.some(({ state }) => state === 'ringing');
}

function dueAtOf(call: VideoCallDocument): Date | undefined {
  if (call.state === 'ended') return undefined;
  const times = call.participants.flatMap(({ ringUntil, leaveAt }) => [ringUntil, leaveAt]);
  const due = [...times, aloneUntil(call)].flatMap((at) => at?.getTime() ?? []);
  return due.length > 0 ? new Date(Math.min(...due)) : undefined;
}

function aloneUntil({ aloneSince }: VideoCallDocument): Date | undefined {
  return aloneSince && new Date(aloneSince.getTime() + ALONE_MS);
}

function newParticipant(userId: ObjectId, invitedBy: ObjectId | null): CallParticipant {
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
function isOpen(own: CallParticipant | undefined): own is CallParticipant {
  return own?.state === 'joined' || own?.state === 'ringing';
}

/** Whether a user who has joined enters again on the device on which they are in the call. */
function isSameDevice({ place, connection }: CallParticipant, device: Device): boolean {
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
function keepsConnection(own: CallConnectionRecord | null, resumed: CallConnectionRecord): boolean {
  return own?.id === resumed.id || (own?.kind === 'peer' && own.nodeId === resumed.nodeId);
}

function assignOrDelete<Key extends 'aloneSince' | 'open' | 'inCall' | 'dueAt'>(
  call: VideoCallDocument,
  key: Key,
  value: VideoCallDocument[Key] | undefined,
): void {
  if (value === undefined) delete call[key];
  else call[key] = value;
}

function refusal(code: ErrorCode): AppError {
  return new AppError(code, REFUSALS[code] ?? 'This is not possible now.');
}
