import { io, type Socket } from 'socket.io-client';
import type { MessagesReply } from '../../src/models/messages/history.model';
import type { Message } from '../../src/models/message.model';
import type { ClientToServerEvents, ServerToClientEvents } from '../../src/sockets/socket.types';
import { call, type Session } from './rest';

/** The number of unacknowledged messages at the same time. */
const IN_FLIGHT = 16;

/**
 * A client like that of an application: after a reconnect, it repeats unacknowledged sends with the same ids, and
 * fetches the messages that it has missed.
 */
export class Chatter {
  /** The message id of each acknowledged `clientMessageId`. */
  readonly acknowledged = new Map<string, string>();
  sent = 0;
  sentAgain = 0;
  onAcknowledged: () => void = () => {};

  private readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  /** The unacknowledged messages, in the order of sending. */
  private readonly unacknowledged = new Map<string, string>();
  private readonly seen = new Map<number, Message>();
  private target = 0;
  private finish: () => void = () => {};
  private fail: (error: Error) => void = () => {};
  private onSeen: () => void = () => {};

  constructor(
    readonly session: Session,
    private readonly url: string,
    private readonly channelId: string,
  ) {
    this.socket = io(url, {
      auth: { token: session.token },
      autoConnect: false,
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 250,
    });
    this.socket.on('message:created', ({ message }) => this.see(message));
    this.socket.on('connect', () => {
      this.resume().catch((error: Error) => {
        // The server was killed again; the next connection catches up.
        if (!(error instanceof TypeError)) this.fail(error);
      });
    });
  }

  connect(): Promise<void> {
    return new Promise((resolve) => {
      this.socket.once('connect', resolve);
      this.socket.connect();
    });
  }

  /** Sends a number of messages. Resolves when all are acknowledged. */
  send(count: number): Promise<void> {
    this.target = count;
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
      this.fill();
    });
  }

  /** Resolves when a number of messages has been received. */
  sees(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.onSeen = () => {
        if (this.seen.size >= count) resolve();
      };
      this.onSeen();
    });
  }

  /** The ids of the messages that this client knows, in display order. */
  view(): string[] {
    return [...this.seen.values()].sort((a, b) => a.seq - b.seq).map(({ id }) => id);
  }

  close(): void {
    this.socket.close();
  }

  private fill(): void {
    while (this.socket.connected && this.unacknowledged.size < IN_FLIGHT && this.sent < this.target) {
      const clientMessageId = `${this.session.username}-${++this.sent}`;
      this.unacknowledged.set(clientMessageId, `${this.session.username} says ${this.sent}`);
      this.emit(clientMessageId);
    }
  }

  private emit(clientMessageId: string): void {
    const body = this.unacknowledged.get(clientMessageId) ?? '';
    const payload = { channelId: this.channelId, clientMessageId, body };
    this.socket.emit('message:send', payload, (answer) => {
      if (!answer.ok) {
        this.fail(new Error(`${clientMessageId} was refused: ${answer.error.code}`));
        return;
      }
      this.unacknowledged.delete(clientMessageId);
      this.acknowledged.set(clientMessageId, answer.data.message.id);
      this.onAcknowledged();
      if (this.acknowledged.size === this.target) this.finish();
      else this.fill();
    });
  }

  /** Runs after each connect: repeats unacknowledged sends, fetches missed messages, and continues. */
  private async resume(): Promise<void> {
    for (const clientMessageId of this.unacknowledged.keys()) {
      this.sentAgain++;
      this.emit(clientMessageId);
    }
    this.fill();
    await this.catchUp();
  }

  /** Fetches messages after the last one before the first gap. */
  private async catchUp(): Promise<void> {
    let complete = 0;
    while (this.seen.has(complete + 1)) complete++;
    for (let after: number | null = complete; after !== null;) {
      const path = `/api/channels/${this.channelId}/messages?limit=200&after=${after}`;
      const page: MessagesReply = await call(this.url, 'GET', path, this.session.token);
      for (const message of page.messages) this.see(message);
      after = page.nextCursor;
    }
  }

  private see(message: Message): void {
    this.seen.set(message.seq, message);
    this.onSeen();
  }
}
