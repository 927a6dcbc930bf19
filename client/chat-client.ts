import {
  emptyState,
  reduce,
  syncRequest,
  unsent,
  type Action,
  type ClientState,
  type Outgoing,
} from './client-state';
import type { Message, Read, SyncAnswer, SyncRequest } from './types';

type Ack<Data> = { ok: true; data: Data } | { ok: false; error: { code: string } };

/** What it takes of a socket of socket.io-client. */
export interface Connection {
  connected: boolean;
  on(event: 'connect' | 'disconnect', listener: () => void): unknown;
  onAny(listener: (event: string, payload: unknown) => void): unknown;
  timeout(milliseconds: number): { emitWithAck(event: string, payload: unknown): Promise<unknown> };
}

/** What it reads over REST. */
export interface Reader {
  /** The page of messages before a `seq`, or the newest one; newest first, as the server answers. */
  history(channelId: string, before?: number): Promise<{ messages: Message[]; nextCursor: number | null }>;
  /** All members of a private channel or direct conversation. */
  members(channelId: string): Promise<string[]>;
}

/** Milliseconds to wait for an acknowledgement before it counts as lost. */
const PATIENCE = 10_000;
/** Milliseconds before an answer that failed is asked for again. */
const PAUSE = 500;

/**
 * Keeps the state of a client over a socket that comes and goes: the part around the reducer that talks. Read
 * `state` whenever `onChange` calls.
 */
export class ChatClient {
  state: ClientState;
  /** Ids of messages on their way over the connection that stands. */
  private onTheWay = new Set<string>();
  private connections = 0;

  constructor(
    private readonly socket: Connection,
    private readonly reader: Reader,
    me: string,
    private readonly onChange: () => void = () => {},
  ) {
    this.state = emptyState(me);
    socket.onAny((name, payload) => this.dispatch({ type: 'event', name, payload }));
    socket.on('connect', () => this.begin());
    socket.on('disconnect', () => this.dispatch({ type: 'disconnected' }));
    if (socket.connected) this.begin();
  }

  /** Whether nothing is missing and nothing is on its way. */
  get settled(): boolean {
    const { connected, syncing } = this.state;
    return connected && !syncing && !syncRequest(this.state) && unsent(this.state).length === 0;
  }

  /** Sends a message: it is in the outbox at once, and goes out until the server has it. */
  send(channelId: string, content: object, clientMessageId: string = crypto.randomUUID()): void {
    const message: Outgoing = { channelId, clientMessageId, content };
    this.dispatch({ type: 'send', message });
    if (this.state.connected) void this.deliver(message);
  }

  async markRead(channelId: string, seq: number): Promise<void> {
    await this.mark('channel:mark_read', channelId, seq);
  }

  async markUnread(channelId: string, seq: number): Promise<void> {
    await this.mark('channel:mark_unread', channelId, seq);
  }

  /** Loads the newest page of a channel, or the one before what is there. */
  async loadHistory(channelId: string): Promise<void> {
    const channel = this.state.channels.get(channelId);
    if (!channel || (channel.messages && channel.from === 0)) return;
    const { generation } = channel;
    this.dispatch({ type: 'history:asked', channelId });
    try {
      const { messages, nextCursor } = await this.reader.history(
        channelId,
        channel.messages ? channel.from : undefined,
      );
      const from = nextCursor ?? 0;
      this.dispatch({ type: 'history:answered', channelId, generation, messages, from });
    } catch (error) {
      this.dispatch({ type: 'history:failed', channelId, generation });
      throw error;
    }
  }

  /** Loads who is in a private channel or direct conversation. */
  async loadMembers(channelId: string): Promise<void> {
    const channel = this.state.channels.get(channelId);
    if (!channel) return;
    this.dispatch({ type: 'members:asked', channelId });
    const userIds = await this.reader.members(channelId);
    this.dispatch({ type: 'members:answered', channelId, generation: channel.generation, userIds });
  }

  private begin(): void {
    this.connections++;
    this.onTheWay = new Set();
    this.dispatch({ type: 'connected' });
    for (const message of unsent(this.state)) void this.deliver(message);
  }

  private dispatch(action: Action): void {
    const before = this.state;
    this.state = reduce(before, action);
    if (this.state !== before) this.onChange();
    const request = syncRequest(this.state);
    if (request) void this.sync(request);
  }

  private async sync(request: SyncRequest): Promise<void> {
    const connection = this.connections;
    this.dispatch({ type: 'sync:asked' });
    const ack = await this.ask<SyncAnswer>('sync', request);
    // Another connection asks for itself.
    if (connection !== this.connections) return;
    if (ack?.ok) {
      this.dispatch({ type: 'sync:answered', answer: ack.data });
      return;
    }
    await pause();
    if (connection === this.connections) this.dispatch({ type: 'sync:failed' });
  }

  private async deliver({ channelId, clientMessageId, content }: Outgoing): Promise<void> {
    if (this.onTheWay.has(clientMessageId)) return;
    this.onTheWay.add(clientMessageId);
    const connection = this.connections;
    const payload = { ...content, channelId, clientMessageId };
    const ack = await this.ask<{ message: Message }>('message:send', payload);
    if (ack?.ok) this.dispatch({ type: 'sent', message: ack.data.message });
    else if (ack && !isPassing(ack.error.code)) {
      this.dispatch({ type: 'refused', clientMessageId, code: ack.error.code });
    } else if (connection === this.connections) {
      await pause();
      if (connection !== this.connections || !this.state.connected) return;
      this.onTheWay.delete(clientMessageId);
      const again = unsent(this.state).find((one) => one.clientMessageId === clientMessageId);
      if (again) void this.deliver(again);
    }
  }

  private async mark(event: string, channelId: string, seq: number): Promise<void> {
    const ack = await this.ask<{ read: Read }>(event, { channelId, seq });
    if (ack?.ok) this.dispatch({ type: 'read', read: ack.data.read });
  }

  /** @returns undefined when no acknowledgement came: it may have been done or not. */
  private async ask<Data>(event: string, payload: unknown): Promise<Ack<Data> | undefined> {
    // The socket would keep it for the next connection, which begins by itself with what is due then.
    if (!this.socket.connected) return undefined;
    try {
      return (await this.socket.timeout(PATIENCE).emitWithAck(event, payload)) as Ack<Data>;
    } catch {
      return undefined;
    }
  }
}

/** Errors that say nothing of the message: it is worth another try. */
function isPassing(code: string): boolean {
  return ['internal_error', 'unavailable', 'maintenance', 'rate_limited'].includes(code);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}
