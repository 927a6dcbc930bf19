import type { ObjectId } from 'mongodb';
import { MAX_JOINED, type CallState, type VideoCallDocument } from '../../models/video-call.model';
import { AppError, type ErrorCode } from '../../utils/errors';
import { aloneUntil, finish, joinedOf, newParticipant, ring } from './call-changes';
import type { CallEvent, CallEventType, Device, Draft, Handler, Transition } from './call-events';
import {
  accept,
  attach,
  cancel,
  decline,
  detach,
  end,
  enter,
  invite,
  join,
  leave,
  loseNodes,
  move,
  passTime,
  remove,
  setMedia,
} from './call-handlers';

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
