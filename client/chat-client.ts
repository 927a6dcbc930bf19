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

/** The part of a socket of socket.io-client that the client uses. */
export interface Connection {
  connected: boolean;
  on(event: 'connect' | 'disconnect', listener: () => void): unknown;
  onAny(listener: (event: string, payload: unknown) => void): unknown;
  timeout(milliseconds: number): { emitWithAck(event: string, payload: unknown): Promise<unknown> };
}

/** Reads over REST. */
export interface Reader {
  /** Returns the page of messages before a `seq`, or the newest page; newest first, as the server does. */
  history(channelId: string, before?: number): Promise<{ messages: Message[]; nextCursor: number | null }>;
  /** Returns the ids of all members of a private channel or direct conversation. */
  members(channelId: string): Promise<string[]>;
}

/** After this time, an acknowledgement counts as lost. */
const ACK_TIMEOUT_MS = 10_000;
/** The time before a failed request is repeated. */
const RETRY_DELAY_MS = 500;

/**
 * Connects the reducer of the client's state to a socket that may disconnect and reconnect. Read `state` in `onChange`.
 */
export class ChatClient {
  state: ClientState;
  /** The `clientMessageId`s of messages that were sent over the current connection and are not acknowledged. */
  private inFlight = new Set<string>();
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

  /** Whether the state is up to date and all messages are acknowledged. */
  get settled(): boolean {
    const { connected, syncing } = this.state;
    return connected && !syncing && !syncRequest(this.state) && unsent(this.state).length === 0;
  }

  /** Sends a message: it is in the outbox at once, and is sent until the server acknowledges or refuses it. */
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

  /** Loads the newest page of a channel, or the page before the loaded ones. */
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

  /** Loads the members of a private channel or direct conversation. */
  async loadMembers(channelId: string): Promise<void> {
    const channel = this.state.channels.get(channelId);
    if (!channel) return;
    this.dispatch({ type: 'members:asked', channelId });
    const userIds = await this.reader.members(channelId);
    this.dispatch({ type: 'members:answered', channelId, generation: channel.generation, userIds });
  }

  private begin(): void {
    this.connections++;
    this.inFlight = new Set();
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
    // A newer connection sends its own request.
    if (connection !== this.connections) return;
    if (ack?.ok) {
      this.dispatch({ type: 'sync:answered', answer: ack.data });
      return;
    }
    await pause();
    if (connection === this.connections) this.dispatch({ type: 'sync:failed' });
  }

  private async deliver({ channelId, clientMessageId, content }: Outgoing): Promise<void> {
    if (this.inFlight.has(clientMessageId)) return;
    this.inFlight.add(clientMessageId);
    const connection = this.connections;
    const payload = { ...content, channelId, clientMessageId };
    const ack = await this.ask<{ message: Message }>('message:send', payload);
    if (ack?.ok) this.dispatch({ type: 'sent', message: ack.data.message });
    else if (ack && !isTemporary(ack.error.code)) {
      this.dispatch({ type: 'refused', clientMessageId, code: ack.error.code });
    } else if (connection === this.connections) {
      await pause();
      if (connection !== this.connections || !this.state.connected) return;
      this.inFlight.delete(clientMessageId);
      const again = unsent(this.state).find((one) => one.clientMessageId === clientMessageId);
      if (again) void this.deliver(again);
    }
  }

  private async mark(event: string, channelId: string, seq: number): Promise<void> {
    const ack = await this.ask<{ read: Read }>(event, { channelId, seq });
    if (ack?.ok) this.dispatch({ type: 'read', read: ack.data.read });
  }

  /** @returns undefined if no acknowledgement arrived: the event may have taken effect or not. */
  private async ask<Data>(event: string, payload: unknown): Promise<Ack<Data> | undefined> {
    // The socket would buffer the event until it reconnects, but `begin` sends everything that is due then.
    if (!this.socket.connected) return undefined;
    try {
      return (await this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload)) as Ack<Data>;
    } catch {
      return undefined;
    }
  }
}

/** Whether an error does not concern the message itself, so that it can be sent again. */
function isTemporary(code: string): boolean {
  return ['internal_error', 'unavailable', 'maintenance', 'rate_limited'].includes(code);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
}
