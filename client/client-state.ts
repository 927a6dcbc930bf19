import {
  newChannel,
  applySync,
  finishLoading,
  applyLive,
  listMembers,
  prepend,
  applyRead,
  type ChannelState,
  type LiveChange,
} from './channel-state';
import { changeOf, type EventPayload } from './events';
import type { Channel, Message, Read, SyncAnswer, SyncRequest } from './types';

/** A message of the user that the server has not confirmed yet. */
export interface Outgoing {
  channelId: string;
  clientMessageId: string;
  /** The other fields of `message:send`. */
  content: object;
  /** The error code with which it was refused; it is not sent again automatically. */
  refused?: string;
}

/** The complete state of a client. */
export interface ClientState {
  /** The user's id. */
  me: string;
  connected: boolean;
  channels: ReadonlyMap<string, ChannelState>;
  /** In the order of sending. */
  outbox: readonly Outgoing[];
  /** Whether events of any channel may have been missed. */
  stale: boolean;
  /** Undefined while no `sync` is running. */
  syncing: Syncing | undefined;
  /** The last `generation` of a channel that was assigned. */
  generations: number;
}

/** Live events during a `sync`, whose response may be older than they are. */
interface Syncing {
  /** Channels that were added or removed. */
  moved: ReadonlySet<string>;
  /** Unknown channels with live events: the response may contain these channels as they were before the events. */
  missed: ReadonlySet<string>;
}

export type Action =
  /** Events arrive from now on. */
  | { type: 'connected' }
  | { type: 'disconnected' }
  /** Any event of the server; events that do not concern channels are ignored. */
  | { type: 'event'; name: string; payload: unknown }
  | { type: 'sync:asked' }
  | { type: 'sync:answered'; answer: SyncAnswer }
  | { type: 'sync:failed' }
  | { type: 'history:asked'; channelId: string }
  /** @property from the smallest `seq` of the page; 0 if it is the first page of the history. */
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

/** Returns the next `sync` request; undefined when nothing is missing, or a request is running. */
export function syncRequest({ connected, channels, stale, syncing }: ClientState): SyncRequest | undefined {
  if (!connected || syncing) return undefined;
  const known = [...channels].map(([id, { revision }]) => [id, revision] as const);
  if (stale) return { since: Object.fromEntries(known) };
  const behind = known.filter(([id, revision]) => {
    const { newestRevision, recount } = channels.get(id)!;
    return newestRevision > revision || recount;
  });
  return behind.length > 0 ? { since: Object.fromEntries(behind), named: true } : undefined;
}

/** Returns the messages to send, and to send again after each reconnect, until they are acknowledged or refused. */
export function unsent({ outbox }: ClientState): Outgoing[] {
  return outbox.filter(({ refused }) => refused === undefined);
}

export function reduce(state: ClientState, action: Action): ClientState {
  switch (action.type) {
    case 'connected':
      // Requests of an earlier connection get no response on this one.
      return { ...state, connected: true, stale: true, syncing: undefined };
    case 'disconnected':
      return { ...state, connected: false, stale: true, syncing: undefined };
    case 'event':
      return reduceEvent(state, action.name, action.payload as EventPayload);
    case 'sync:asked':
      return { ...state, stale: false, syncing: { moved: new Set(), missed: new Set() } };
    case 'sync:answered':
      return applySyncAnswer(state, action.answer);
    case 'sync:failed':
      return { ...state, stale: true, syncing: undefined };
    case 'history:asked':
      return updateChannel(state, action.channelId, (channel) => ({
        ...channel,
        loading: channel.loading + 1,
      }));
    case 'history:answered': {
      const taken = confirmSent(state, action.messages);
      return updateChannel(taken, action.channelId, (channel) =>
        channel.generation === action.generation ? prepend(channel, action.messages, action.from) : channel,
      );
    }
    case 'history:failed':
      return updateChannel(state, action.channelId, (channel) =>
        channel.generation === action.generation ? finishLoading(channel) : channel,
      );
    case 'members:asked':
      return updateChannel(state, action.channelId, (channel) => ({ ...channel, memberChanges: new Map() }));
    case 'members:answered':
      return updateChannel(state, action.channelId, (channel) =>
        channel.generation === action.generation ? listMembers(channel, action.userIds) : channel,
      );
    case 'read': {
      const { channelId } = action.read;
      return updateChannel(recordMissed(state, channelId), channelId, (channel) =>
        applyRead(channel, action.read, state.me),
      );
    }
    case 'send':
      return { ...state, outbox: [...state.outbox, action.message] };
    case 'sent':
      return applyMessage(state, action.message);
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
      // The group's public channels can be read from now on; no event names them.
      return { ...state, stale: true };
    case 'channel:restricted':
      return payload.kind === null ? { ...state, stale: true } : state;
    case 'channel:read':
      return payload.read ? reduce(state, { type: 'read', read: payload.read }) : state;
    default:
      if (name.startsWith('message:') && payload.message) return applyMessage(state, payload.message);
      return applyEvent(state, payload.channelId ?? payload.channel?.id, changeOf(name, payload));
  }
}

function applyEvent(
  state: ClientState,
  channelId: string | undefined,
  change: LiveChange | undefined,
): ClientState {
  if (channelId === undefined || !change) return state;
  return updateChannel(recordMissed(state, channelId), channelId, (channel) =>
    applyLive(channel, change, state.me),
  );
}

/** Applies a message from an event or an acknowledgement, which may arrive in either order. */
function applyMessage(state: ClientState, message: Message): ClientState {
  const change: LiveChange = { kind: 'message', revision: message.revision, message };
  return applyEvent(confirmSent(state, [message]), message.channelId, change);
}

/** Removes the user's messages from the outbox that the server has returned. */
function confirmSent(state: ClientState, messages: readonly Message[]): ClientState {
  if (state.outbox.length === 0) return state;
  const own = messages.filter(({ senderId }) => senderId === state.me);
  const there = new Set(own.map(({ clientMessageId }) => clientMessageId));
  const outbox = state.outbox.filter(({ clientMessageId }) => !there.has(clientMessageId));
  return outbox.length === state.outbox.length ? state : { ...state, outbox };
}

function applySyncAnswer(before: ClientState, answer: SyncAnswer): ClientState {
  // The connection of the request has ended; the next connection sends another request.
  if (!before.syncing) return before;
  const { moved, missed } = before.syncing;
  let state: ClientState = { ...before, syncing: undefined, stale: before.stale || answer.more };
  for (const { channelId, revision: upTo, ...page } of answer.channels) {
    if (moved.has(channelId)) continue;
    state = confirmSent(
      state,
      page.changes.flatMap((change) => (change.kind === 'message' ? [change.message] : [])),
    );
    state = updateChannel(state, channelId, (channel) => applySync(channel, { ...page, upTo }, state.me));
  }
  for (const { channel, read } of answer.reset) {
    const known = state.channels.get(channel.id);
    if (!known || moved.has(channel.id)) continue;
    const isOlder = channel.revision < known.newestRevision || read.version < known.read.version;
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
    return applyEvent(state, channel.id, { kind: 'channel', revision: channel.revision, channel });
  }
  // For a new member, all messages count as read. `sync` returns the exact marker.
  const { id: channelId, seq, revision } = channel;
  const read: Read = { channelId, readSeq: seq, unread: 0, mentions: 0, lastSeq: seq, revision, version: -1 };
  return recordMove(start(state, channel, read, true), [channelId]);
}

/** @param incomplete whether newer changes are known to exist, so that another `sync` is needed. */
function start(state: ClientState, channel: Channel, read: Read, incomplete: boolean): ClientState {
  const generations = state.generations + 1;
  const started = { ...newChannel(channel, read, generations), recount: incomplete };
  return { ...state, channels: new Map(state.channels).set(channel.id, started), generations };
}

function drop(state: ClientState, channelIds: readonly string[]): ClientState {
  const channels = new Map(state.channels);
  for (const channelId of channelIds) channels.delete(channelId);
  return recordMove({ ...state, channels }, channelIds);
}

function recordMove(state: ClientState, channelIds: readonly string[]): ClientState {
  const { syncing } = state;
  if (!syncing) return state;
  return { ...state, syncing: { ...syncing, moved: new Set([...syncing.moved, ...channelIds]) } };
}

function recordMissed(state: ClientState, channelId: string): ClientState {
  const { syncing, channels } = state;
  if (!syncing || channels.has(channelId) || syncing.missed.has(channelId)) return state;
  return { ...state, syncing: { ...syncing, missed: new Set(syncing.missed).add(channelId) } };
}

function updateChannel(
  state: ClientState,
  channelId: string,
  change: (channel: ChannelState) => ChannelState,
): ClientState {
  const before = state.channels.get(channelId);
  if (!before) return state;
  const after = change(before);
  return after === before ? state : { ...state, channels: new Map(state.channels).set(channelId, after) };
}
