import type { Change, Channel, Message, Read } from './types';

/** A change as a live event reports it, with additional fields. */
export type LiveChange = Change & { channel?: Channel; memberCount?: number };

/** The client's copy of a channel: the state of the server at `revision`. */
export interface ChannelState {
  channel: Channel;
  /** All changes up to this revision are included. */
  revision: number;
  /** The newest revision that the client knows to exist. If it is greater than `revision`, changes are missing: sync. */
  newestRevision: number;
  /** Changes that arrived while earlier ones are missing, by revision. */
  pending: ReadonlyMap<number, LiveChange>;
  /** The messages from `from` on, by `seq`, without a gap; undefined until the newest page is loaded. */
  messages: readonly Message[] | undefined;
  /** A `seq`; 0 when the whole history is loaded. */
  from: number;
  /** The number of pages of history that are being loaded. */
  loading: number;
  /** Messages before `from` that changed while a page is being loaded: the page may contain them as they were before. */
  changedWhileLoading: ReadonlyMap<string, Message>;
  /** The members of a private channel or direct conversation; undefined until they are loaded. */
  members: ReadonlySet<string> | undefined;
  /** Users who joined (true) or left (false) while the list of members is being loaded; undefined otherwise. */
  memberChanges: ReadonlyMap<string, boolean> | undefined;
  read: Read;
  /** Whether the unread counts cannot be computed from this state: sync. */
  recount: boolean;
  /** Differs each time the channel is loaded from scratch. Responses to requests of another generation are ignored. */
  generation: number;
}

/** The maximum number of pending changes. Beyond it, `sync` fetches them. */
const MAX_PENDING = 1000;

/** Returns the state of a channel without any loaded messages. */
export function newChannel(channel: Channel, read: Read, generation: number): ChannelState {
  return {
    channel,
    revision: channel.revision,
    newestRevision: channel.revision,
    pending: new Map(),
    messages: undefined,
    from: Infinity,
    loading: 0,
    changedWhileLoading: new Map(),
    members: undefined,
    memberChanges: undefined,
    read,
    recount: false,
    generation,
  };
}

/** Handles a live change: applies it if it is the next one, keeps it if earlier ones are missing, ignores a known one. */
export function applyLive(state: ChannelState, change: LiveChange, me: string): ChannelState {
  const { revision } = change;
  if (revision <= state.revision) return state;
  const newestRevision = Math.max(state.newestRevision, revision);
  if (revision === state.revision + 1) return drain(apply({ ...state, newestRevision }, change, me), me);
  if (state.pending.size >= MAX_PENDING) return { ...state, newestRevision };
  return { ...state, newestRevision, pending: new Map(state.pending).set(revision, change) };
}

/**
 * Applies the response of `sync`: all changes up to the revision `upTo`, and then the pending live changes.
 * @param channel the current channel, whose revision may be greater than `upTo`.
 */
export function applySync(
  state: ChannelState,
  {
    channel,
    changes,
    upTo,
    read,
  }: { channel: Channel | null; changes: readonly Change[]; upTo: number; read: Read },
  me: string,
): ChannelState {
  let next = channel ? applyChannel(state, channel) : state;
  next = {
    ...applyRead(next, read, me),
    newestRevision: Math.max(next.newestRevision, channel?.revision ?? upTo),
  };
  for (const change of changes) if (change.revision > next.revision) next = apply(next, change, me);
  return drain({ ...next, revision: Math.max(next.revision, upTo) }, me);
}

/** Updates the read marker, from any source; an older state of it is ignored. */
export function applyRead(state: ChannelState, read: Read, me: string): ChannelState {
  const known = state.read;
  if (read.version < known.version) return state;
  if (read.version === known.version && read.revision < known.revision) return state;
  // The counts do not include changes after `read.revision`: add these, if this state has all of them.
  const later = (state.messages ?? [])
    .filter(({ revision }) => revision > read.revision && revision <= state.revision)
    .sort((one, other) => one.revision - other.revision);
  const allKnown = read.revision + later.length >= state.revision;
  return later.reduce((next, message) => count(next, message, me), { ...state, read, recount: !allKnown });
}

/** Adds a page of history: the newest one, or the one before `from`. */
export function prepend(state: ChannelState, page: readonly Message[], from: number): ChannelState {
  const byId = new Map<string, Message>();
  const oldest = Math.max(from, state.channel.retainedFrom);
  for (const message of [...page, ...state.changedWhileLoading.values(), ...(state.messages ?? [])]) {
    const known = byId.get(message.id);
    if (message.seq >= oldest && (!known || known.revision < message.revision)) byId.set(message.id, message);
  }
  const messages = [...byId.values()].sort((one, other) => one.seq - other.seq);
  return finishLoading({ ...state, messages, from: Math.min(state.from, from) });
}

/** Records that a page of history is no longer being loaded. */
export function finishLoading(state: ChannelState): ChannelState {
  const loading = state.loading - 1;
  return { ...state, loading, changedWhileLoading: loading > 0 ? state.changedWhileLoading : new Map() };
}

/** Sets the members from a loaded list. */
export function listMembers(state: ChannelState, userIds: readonly string[]): ChannelState {
  if (!state.memberChanges) return state;
  const members = new Set(userIds);
  for (const [userId, present] of state.memberChanges) move(members, userId, present);
  return { ...state, members, memberChanges: undefined };
}

function drain(state: ChannelState, me: string): ChannelState {
  if (state.pending.size === 0) return state;
  const pending = new Map(state.pending);
  let next = state;
  for (let change = pending.get(next.revision + 1); change; change = pending.get(next.revision + 1)) {
    next = apply(next, change, me);
  }
  for (const revision of pending.keys()) if (revision <= next.revision) pending.delete(revision);
  return { ...next, pending };
}

function apply(state: ChannelState, change: LiveChange, me: string): ChannelState {
  const { revision } = change;
  let next = state;
  if (change.channel) next = applyChannel(next, change.channel);
  if (change.kind === 'message') next = insertMessage(count(next, change.message, me), change.message);
  if (change.kind === 'member') next = moveMember(next, change.userId, change.present);
  if (change.kind === 'members_cleared') next = { ...next, members: undefined, memberChanges: undefined };
  const { channel } = next;
  if (revision > channel.revision) {
    const seq = change.kind === 'message' ? Math.max(channel.seq, change.message.seq) : channel.seq;
    const memberCount = change.memberCount ?? channel.memberCount;
    next = { ...next, channel: { ...channel, seq, memberCount, revision } };
  }
  return { ...next, revision };
}

/** Updates the channel's fields, unless newer ones are known. */
function applyChannel(state: ChannelState, channel: Channel): ChannelState {
  if (channel.revision < state.channel.revision) return state;
  const { retainedFrom } = channel;
  if (retainedFrom <= state.channel.retainedFrom) return { ...state, channel };
  // Retention has deleted messages, some of which may have been unread.
  const recount = state.recount || state.read.readSeq < retainedFrom - 1;
  const messages = state.messages?.filter(({ seq }) => seq >= retainedFrom);
  return { ...state, channel, messages, recount };
}

function insertMessage(state: ChannelState, message: Message): ChannelState {
  const { messages, from, loading } = state;
  if (!messages || message.seq < from) {
    if (loading === 0) return state;
    return { ...state, changedWhileLoading: new Map(state.changedWhileLoading).set(message.id, message) };
  }
  let index = messages.length;
  while (index > 0 && messages[index - 1]!.seq >= message.seq) index--;
  const known = messages[index];
  const found = known?.id === message.id;
  if (found && known.revision >= message.revision) return state;
  return {
    ...state,
    messages: [...messages.slice(0, index), message, ...messages.slice(found ? index + 1 : index)],
  };
}

function moveMember(state: ChannelState, userId: string, present: boolean): ChannelState {
  const { members, memberChanges } = state;
  const next = { ...state };
  if (members) next.members = move(new Set(members), userId, present);
  if (memberChanges) next.memberChanges = new Map(memberChanges).set(userId, present);
  return next;
}

function move(members: Set<string>, userId: string, present: boolean): Set<string> {
  if (present) members.add(userId);
  else members.delete(userId);
  return members;
}

/** Updates the unread counts for a change of a message. Call it before the change is applied. */
function count(state: ChannelState, message: Message, me: string): ChannelState {
  const { read, messages, from } = state;
  if (message.revision <= read.revision) return state;
  const { revision } = message;
  if (message.seq > read.lastSeq) {
    const lastSeq = message.seq;
    if (message.senderId === me && message.threadId === null) {
      // Sending a message marks everything before it as read.
      return { ...state, read: { ...read, readSeq: lastSeq, unread: 0, mentions: 0, lastSeq, revision } };
    }
    return { ...state, read: { ...add(read, weightOf(message, read, me), 1), lastSeq, revision } };
  }
  const before = message.seq < from ? undefined : messages?.find(({ id }) => id === message.id);
  if (!before || before.revision > read.revision) {
    // The state in which the message was counted is unknown.
    const concerned = message.seq > read.readSeq;
    return { ...state, read: { ...read, revision }, recount: state.recount || concerned };
  }
  const without = add(read, weightOf(before, read, me), -1);
  return { ...state, read: { ...add(without, weightOf(message, read, me), 1), revision } };
}

function weightOf(message: Message, { readSeq }: Read, me: string): { unread: number; mentions: number } {
  const counts =
    message.seq > readSeq &&
    message.senderId !== me &&
    message.threadId === null &&
    message.deletedAt === null;
  const mentioned = message.mentionIds.includes(me) || message.mentionsEveryone === 'channel';
  return { unread: counts ? 1 : 0, mentions: counts && mentioned ? 1 : 0 };
}

function add(read: Read, weight: { unread: number; mentions: number }, times: 1 | -1): Read {
  return {
    ...read,
    unread: read.unread + times * weight.unread,
    mentions: read.mentions + times * weight.mentions,
  };
}
