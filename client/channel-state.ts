import type { Change, Channel, Message, Read } from './types';

/** A change with what a live event tells beside it. */
export type LiveChange = Change & { channel?: Channel; memberCount?: number };

/** A channel as a client keeps it: that of the server as of `revision`. */
export interface ChannelState {
  channel: Channel;
  /** Everything up to here is in this state. */
  revision: number;
  /** The newest revision that was heard of. If it is greater, something is missing: sync. */
  heard: number;
  /** Changes that came before others that are missing, by their revisions. */
  waiting: ReadonlyMap<number, LiveChange>;
  /** The messages from `from` on, by `seq`, without a gap; undefined until the newest page is loaded. */
  messages: readonly Message[] | undefined;
  /** A `seq`; 0 when the history is there from its start. */
  from: number;
  /** How many pages of history are on their way. */
  loading: number;
  /** What has changed of messages that are not there, while a page is on its way which may not know of it. */
  aside: ReadonlyMap<string, Message>;
  /** Of a private channel or direct conversation; undefined until they are loaded. */
  members: ReadonlySet<string> | undefined;
  /** Who came and who went while the list of members is on its way; undefined when it is not. */
  moves: ReadonlyMap<string, boolean> | undefined;
  read: Read;
  /** Whether what is unread cannot be told from here: sync. */
  recount: boolean;
  /** Another one for each new start: what was asked for under another is no answer any more. */
  generation: number;
}

/** Changes that wait for others; beyond that many, `sync` brings them. */
const MAX_WAITING = 1000;

/** A channel of which nothing is loaded yet. */
export function begin(channel: Channel, read: Read, generation: number): ChannelState {
  return {
    channel,
    revision: channel.revision,
    heard: channel.revision,
    waiting: new Map(),
    messages: undefined,
    from: Infinity,
    loading: 0,
    aside: new Map(),
    members: undefined,
    moves: undefined,
    read,
    recount: false,
    generation,
  };
}

/** A change that came live: applied in its turn, kept when others are missing before it, ignored when it is known. */
export function hear(state: ChannelState, change: LiveChange, me: string): ChannelState {
  const { revision } = change;
  if (revision <= state.revision) return state;
  const heard = Math.max(state.heard, revision);
  if (revision === state.revision + 1) return drain(apply({ ...state, heard }, change, me), me);
  if (state.waiting.size >= MAX_WAITING) return { ...state, heard };
  return { ...state, heard, waiting: new Map(state.waiting).set(revision, change) };
}

/**
 * The answer of `sync`: all that changed up to a revision, and then what came live meanwhile.
 * @param channel as it is now, which may be later than `upTo`.
 */
export function catchUp(
  state: ChannelState,
  {
    channel,
    changes,
    upTo,
    read,
  }: { channel: Channel | null; changes: readonly Change[]; upTo: number; read: Read },
  me: string,
): ChannelState {
  let next = channel ? show(state, channel) : state;
  next = { ...takeRead(next, read, me), heard: Math.max(next.heard, channel?.revision ?? upTo) };
  for (const change of changes) if (change.revision > next.revision) next = apply(next, change, me);
  return drain({ ...next, revision: Math.max(next.revision, upTo) }, me);
}

/** How far the user has read, from wherever it comes; an older state of the marker is ignored. */
export function takeRead(state: ChannelState, read: Read, me: string): ChannelState {
  const known = state.read;
  if (read.version < known.version) return state;
  if (read.version === known.version && read.revision < known.revision) return state;
  // It was counted before the newest changes that are in this state: they count on top of it, if all are known.
  const later = (state.messages ?? [])
    .filter(({ revision }) => revision > read.revision && revision <= state.revision)
    .sort((one, other) => one.revision - other.revision);
  const allKnown = read.revision + later.length >= state.revision;
  return later.reduce((next, message) => count(next, message, me), { ...state, read, recount: !allKnown });
}

/** A page of history: the newest one, or the one before `from`. */
export function prepend(state: ChannelState, page: readonly Message[], from: number): ChannelState {
  const byId = new Map<string, Message>();
  const oldest = Math.max(from, state.channel.retainedFrom);
  for (const message of [...page, ...state.aside.values(), ...(state.messages ?? [])]) {
    const known = byId.get(message.id);
    if (message.seq >= oldest && (!known || known.revision < message.revision)) byId.set(message.id, message);
  }
  const messages = [...byId.values()].sort((one, other) => one.seq - other.seq);
  return finishLoading({ ...state, messages, from: Math.min(state.from, from) });
}

/** A page of history is on its way no more. */
export function finishLoading(state: ChannelState): ChannelState {
  const loading = state.loading - 1;
  return { ...state, loading, aside: loading > 0 ? state.aside : new Map() };
}

/** The list of members has come. */
export function listMembers(state: ChannelState, userIds: readonly string[]): ChannelState {
  if (!state.moves) return state;
  const members = new Set(userIds);
  for (const [userId, present] of state.moves) move(members, userId, present);
  return { ...state, members, moves: undefined };
}

function drain(state: ChannelState, me: string): ChannelState {
  if (state.waiting.size === 0) return state;
  const waiting = new Map(state.waiting);
  let next = state;
  for (let change = waiting.get(next.revision + 1); change; change = waiting.get(next.revision + 1)) {
    next = apply(next, change, me);
  }
  for (const revision of waiting.keys()) if (revision <= next.revision) waiting.delete(revision);
  return { ...next, waiting };
}

function apply(state: ChannelState, change: LiveChange, me: string): ChannelState {
  const { revision } = change;
  let next = state;
  if (change.channel) next = show(next, change.channel);
  if (change.kind === 'message') next = put(count(next, change.message, me), change.message);
  if (change.kind === 'member') next = moveMember(next, change.userId, change.present);
  if (change.kind === 'members_cleared') next = { ...next, members: undefined, moves: undefined };
  const { channel } = next;
  if (revision > channel.revision) {
    const seq = change.kind === 'message' ? Math.max(channel.seq, change.message.seq) : channel.seq;
    const memberCount = change.memberCount ?? channel.memberCount;
    next = { ...next, channel: { ...channel, seq, memberCount, revision } };
  }
  return { ...next, revision };
}

/** The channel's fields, unless later ones are known. */
function show(state: ChannelState, channel: Channel): ChannelState {
  if (channel.revision < state.channel.revision) return state;
  const { retainedFrom } = channel;
  if (retainedFrom <= state.channel.retainedFrom) return { ...state, channel };
  // What was too old is gone, and with it some of what was unread.
  const recount = state.recount || state.read.readSeq < retainedFrom - 1;
  const messages = state.messages?.filter(({ seq }) => seq >= retainedFrom);
  return { ...state, channel, messages, recount };
}

function put(state: ChannelState, message: Message): ChannelState {
  const { messages, from, loading } = state;
  if (!messages || message.seq < from) {
    if (loading === 0) return state;
    return { ...state, aside: new Map(state.aside).set(message.id, message) };
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
  const { members, moves } = state;
  const next = { ...state };
  if (members) next.members = move(new Set(members), userId, present);
  if (moves) next.moves = new Map(moves).set(userId, present);
  return next;
}

function move(members: Set<string>, userId: string, present: boolean): Set<string> {
  if (present) members.add(userId);
  else members.delete(userId);
  return members;
}

/** Keeps what is unread in step with a change of a message; to be called before the change is made. */
function count(state: ChannelState, message: Message, me: string): ChannelState {
  const { read, messages, from } = state;
  if (message.revision <= read.revision) return state;
  const { revision } = message;
  if (message.seq > read.lastSeq) {
    const lastSeq = message.seq;
    if (message.senderId === me && message.threadId === null) {
      // Who writes has read what is above.
      return { ...state, read: { ...read, readSeq: lastSeq, unread: 0, mentions: 0, lastSeq, revision } };
    }
    return { ...state, read: { ...add(read, weigh(message, read, me), 1), lastSeq, revision } };
  }
  const before = message.seq < from ? undefined : messages?.find(({ id }) => id === message.id);
  if (!before || before.revision > read.revision) {
    // As it was counted is not known any more.
    const concerned = message.seq > read.readSeq;
    return { ...state, read: { ...read, revision }, recount: state.recount || concerned };
  }
  const without = add(read, weigh(before, read, me), -1);
  return { ...state, read: { ...add(without, weigh(message, read, me), 1), revision } };
}

function weigh(message: Message, { readSeq }: Read, me: string): { unread: number; mentions: number } {
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
