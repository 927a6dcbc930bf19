import {
  begin,
  catchUp,
  finishLoading,
  hear,
  listMembers,
  prepend,
  takeRead,
  type ChannelState,
  type LiveChange,
} from './channel-state';
import { changeOf, type EventPayload } from './events';
import type { Channel, Message, Read, SyncAnswer, SyncRequest } from './types';

/** A message of one's own that is not yet known to be on the server. */
export interface Outgoing {
  channelId: string;
  clientMessageId: string;
  /** What is sent beside the two. */
  content: object;
  /** The code with which it was refused; it is not sent again by itself. */
  refused?: string;
}

/** All that a client keeps. */
export interface ClientState {
  /** The user's id. */
  me: string;
  connected: boolean;
  channels: ReadonlyMap<string, ChannelState>;
  /** In the order of sending. */
  outbox: readonly Outgoing[];
  /** Whether events of any channel may have been missed. */
  stale: boolean;
  /** Undefined while no `sync` is under way. */
  syncing: Syncing | undefined;
  /** Counts the new starts of channels. */
  generations: number;
}

/** What came live while `sync` is under way, and its answer may know less of. */
interface Syncing {
  /** Channels that came or went. */
  moved: ReadonlySet<string>;
  /** Channels that something came of while they were not known: the answer may bring them as they were before it. */
  missed: ReadonlySet<string>;
}

export type Action =
  /** Events are heard from now on. */
  | { type: 'connected' }
  | { type: 'disconnected' }
  /** Any event of the server; those that are not about channels are ignored. */
  | { type: 'event'; name: string; payload: unknown }
  | { type: 'sync:asked' }
  | { type: 'sync:answered'; answer: SyncAnswer }
  | { type: 'sync:failed' }
  | { type: 'history:asked'; channelId: string }
  /** @property from the smallest `seq` of the page; 0 when nothing is before it. */
  | {
      type: 'history:answered';
      channelId: string;
      generation: number;
      messages: readonly Message[];
      from: number;
    }
  | { type: 'history:failed'; channelId: string; generation: number }
  | { type: 'members:asked'; channelId: string }
  | { type: 'members:answered'; channelId: string; generation: number; userIds: readonly string[] }
  | { type: 'read'; read: Read }
  | { type: 'send'; message: Outgoing }
  | { type: 'sent'; message: Message }
  | { type: 'refused'; clientMessageId: string; code: string };

export function emptyState(me: string): ClientState {
  return {
    me,
    connected: false,
    channels: new Map(),
    outbox: [],
    stale: true,
    syncing: undefined,
    generations: 0,
  };
}

/** What `sync` is to be asked now; undefined when nothing is missing, or an answer is on its way. */
export function syncRequest({ connected, channels, stale, syncing }: ClientState): SyncRequest | undefined {
  if (!connected || syncing) return undefined;
  const known = [...channels].map(([id, { revision }]) => [id, revision] as const);
  if (stale) return { since: Object.fromEntries(known) };
  const behind = known.filter(([id, revision]) => {
    const { heard, recount } = channels.get(id)!;
    return heard > revision || recount;
  });
  return behind.length > 0 ? { since: Object.fromEntries(behind), named: true } : undefined;
}

/** What is to be sent, and sent again after each reconnect, until it is acknowledged or refused. */
export function unsent({ outbox }: ClientState): Outgoing[] {
  return outbox.filter(({ refused }) => refused === undefined);
}

export function reduce(state: ClientState, action: Action): ClientState {
  switch (action.type) {
    case 'connected':
      // What was asked over another connection is not answered over this one.
      return { ...state, connected: true, stale: true, syncing: undefined };
    case 'disconnected':
      return { ...state, connected: false, stale: true, syncing: undefined };
    case 'event':
      return reduceEvent(state, action.name, action.payload as EventPayload);
    case 'sync:asked':
      return { ...state, stale: false, syncing: { moved: new Set(), missed: new Set() } };
    case 'sync:answered':
      return takeSync(state, action.answer);
    case 'sync:failed':
      return { ...state, stale: true, syncing: undefined };
    case 'history:asked':
      return within(state, action.channelId, (channel) => ({ ...channel, loading: channel.loading + 1 }));
    case 'history:answered': {
      const taken = settle(state, action.messages);
      return within(taken, action.channelId, (channel) =>
        channel.generation === action.generation ? prepend(channel, action.messages, action.from) : channel,
      );
    }
    case 'history:failed':
      return within(state, action.channelId, (channel) =>
        channel.generation === action.generation ? finishLoading(channel) : channel,
      );
    case 'members:asked':
      return within(state, action.channelId, (channel) => ({ ...channel, moves: new Map() }));
    case 'members:answered':
      return within(state, action.channelId, (channel) =>
        channel.generation === action.generation ? listMembers(channel, action.userIds) : channel,
      );
    case 'read': {
      const { channelId } = action.read;
      return within(noteMissed(state, channelId), channelId, (channel) =>
        takeRead(channel, action.read, state.me),
      );
    }
    case 'send':
      return { ...state, outbox: [...state.outbox, action.message] };
    case 'sent':
      return takeMessage(state, action.message);
    case 'refused':
      return {
        ...state,
        outbox: state.outbox.map((one) =>
          one.clientMessageId === action.clientMessageId ? { ...one, refused: action.code } : one,
        ),
      };
  }
}

function reduceEvent(state: ClientState, name: string, payload: EventPayload): ClientState {
  switch (name) {
    case 'channel:added':
      return payload.channel ? addOrChange(state, payload.channel) : state;
    case 'channel:removed':
      return payload.channelId ? drop(state, [payload.channelId]) : state;
    case 'group:removed':
      return drop(
        state,
        [...state.channels]
          .filter(([, { channel }]) => channel.groupId === payload.groupId)
          .map(([id]) => id),
      );
    case 'group:added':
      // Its public channels can be read from now on; no event names them.
      return { ...state, stale: true };
    case 'channel:restricted':
      return payload.kind === null ? { ...state, stale: true } : state;
    case 'channel:read':
      return payload.read ? reduce(state, { type: 'read', read: payload.read }) : state;
    default:
      if (name.startsWith('message:') && payload.message) return takeMessage(state, payload.message);
      return hearChange(state, payload.channelId ?? payload.channel?.id, changeOf(name, payload));
  }
}

function hearChange(
  state: ClientState,
  channelId: string | undefined,
  change: LiveChange | undefined,
): ClientState {
  if (channelId === undefined || !change) return state;
  return within(noteMissed(state, channelId), channelId, (channel) => hear(channel, change, state.me));
}

/** A message, from an event or an acknowledgement: the two may come in either order. */
function takeMessage(state: ClientState, message: Message): ClientState {
  const change: LiveChange = { kind: 'message', revision: message.revision, message };
  return hearChange(settle(state, [message]), message.channelId, change);
}

/** Messages of one's own that have come back are not on their way any more. */
function settle(state: ClientState, messages: readonly Message[]): ClientState {
  if (state.outbox.length === 0) return state;
  const own = messages.filter(({ senderId }) => senderId === state.me);
  const there = new Set(own.map(({ clientMessageId }) => clientMessageId));
  const outbox = state.outbox.filter(({ clientMessageId }) => !there.has(clientMessageId));
  return outbox.length === state.outbox.length ? state : { ...state, outbox };
}

function takeSync(before: ClientState, answer: SyncAnswer): ClientState {
  // It was asked over a connection that has ended since: there will be another one.
  if (!before.syncing) return before;
  const { moved, missed } = before.syncing;
  let state: ClientState = { ...before, syncing: undefined, stale: before.stale || answer.more };
  for (const { channelId, revision: upTo, ...page } of answer.channels) {
    if (moved.has(channelId)) continue;
    state = settle(
      state,
      page.changes.flatMap((change) => (change.kind === 'message' ? [change.message] : [])),
    );
    state = within(state, channelId, (channel) => catchUp(channel, { ...page, upTo }, state.me));
  }
  for (const { channel, read } of answer.reset) {
    const known = state.channels.get(channel.id);
    if (!known || moved.has(channel.id)) continue;
    const isOlder = channel.revision < known.heard || read.version < known.read.version;
    state = start(state, channel, read, isOlder);
  }
  for (const { channel, read } of answer.added) {
    if (moved.has(channel.id) || state.channels.has(channel.id)) continue;
    state = start(state, channel, read, missed.has(channel.id));
  }
  const gone = answer.gone.map(({ channelId }) => channelId).filter((channelId) => !moved.has(channelId));
  return gone.length > 0 ? drop(state, gone) : state;
}

function addOrChange(state: ClientState, channel: Channel): ClientState {
  if (state.channels.has(channel.id)) {
    return hearChange(state, channel.id, { kind: 'channel', revision: channel.revision, channel });
  }
  // What is in it counts as read, as for everybody who comes in; `sync` tells better.
  const { id: channelId, seq, revision } = channel;
  const read: Read = { channelId, readSeq: seq, unread: 0, mentions: 0, lastSeq: seq, revision, version: -1 };
  return noteMove(start(state, channel, read, true), [channelId]);
}

/** @param incomplete whether more is known to have happened: `sync` is asked again. */
function start(state: ClientState, channel: Channel, read: Read, incomplete: boolean): ClientState {
  const generations = state.generations + 1;
  const begun = { ...begin(channel, read, generations), recount: incomplete };
  return { ...state, channels: new Map(state.channels).set(channel.id, begun), generations };
}

function drop(state: ClientState, channelIds: readonly string[]): ClientState {
  const channels = new Map(state.channels);
  for (const channelId of channelIds) channels.delete(channelId);
  return noteMove({ ...state, channels }, channelIds);
}

function noteMove(state: ClientState, channelIds: readonly string[]): ClientState {
  const { syncing } = state;
  if (!syncing) return state;
  return { ...state, syncing: { ...syncing, moved: new Set([...syncing.moved, ...channelIds]) } };
}

function noteMissed(state: ClientState, channelId: string): ClientState {
  const { syncing, channels } = state;
  if (!syncing || channels.has(channelId) || syncing.missed.has(channelId)) return state;
  return { ...state, syncing: { ...syncing, missed: new Set(syncing.missed).add(channelId) } };
}

function within(
  state: ClientState,
  channelId: string,
  change: (channel: ChannelState) => ChannelState,
): ClientState {
  const before = state.channels.get(channelId);
  if (!before) return state;
  const after = change(before);
  return after === before ? state : { ...state, channels: new Map(state.channels).set(channelId, after) };
}
