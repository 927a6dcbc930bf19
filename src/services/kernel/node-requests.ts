import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Logger } from '../../utils/logger';
import type { Part } from './lifecycle';
import type { RedisConnections } from './redis';

/** The requests that are remembered, so that none is handled twice. */
const MAX_REMEMBERED = 10_000;

/** Answers a request of another node, as JSON. It must not fail. */
export type NodeRequestHandler = (body: unknown) => Promise<unknown>;

/**
 * - `answered`: with the answer.
 * - `no_node`: no node with this id is subscribed, so nobody has received the request.
 * - `unknown`: the node may have received it or not. Redis could not be reached, or the node has not answered in time.
 */
export type NodeResponse =
  { outcome: 'answered'; body: unknown } | { outcome: 'no_node' } | { outcome: 'unknown' };

const envelope = z.union([
  z.object({ from: z.string().max(64), id: z.number().int().positive(), body: z.unknown() }),
  z.object({ answerTo: z.number().int(), body: z.unknown() }),
]);

/** The dependencies of NodeRequests. */
export interface NodeRequestsDeps {
  redis: RedisConnections;
  /** The id of this node. */
  nodeId: string;
  /** Identifies the nodes of one installation: others may use the same Redis server. */
  installation: string;
  logger: Pick<Logger, 'warn'>;
}

/**
 * Sends requests to single nodes over Redis. Each node subscribes to a channel of its own. A request is handled at most
 * once, and the requests of one node to another arrive in the order in which they were sent.
 */
export class NodeRequests implements Part {
  private readonly pending = new Map<number, (response: NodeResponse) => void>();
  private readonly handled = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  private handler: NodeRequestHandler | undefined;
  private lastId = 0;

  /** @param topic what the requests are for; part of the names of the channels. */
  constructor(
    private readonly topic: string,
    private readonly deps: NodeRequestsDeps,
  ) {}

  /** Subscribes to the requests for this node and to the answers that it receives. */
  start(): Promise<void> {
    return this.deps.redis.subscribe({
      channels: [this.channelOf(this.deps.nodeId)],
      receive: (_channel, message) => void this.receive(message.toString()),
      subscribed: () => undefined,
    });
  }

  /** Handles the requests of other nodes from now on. Those before are not answered. */
  handle(handler: NodeRequestHandler): void {
    this.handler = handler;
  }

  /** Sends a request to a node, which has `timeoutMs` to answer. Never fails. @param body is sent as JSON. */
  async send(nodeId: string, body: unknown, timeoutMs: number): Promise<NodeResponse> {
    const id = ++this.lastId;
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<NodeResponse>((resolve) => {
      this.pending.set(id, resolve);
      timer = setTimeout(() => resolve({ outcome: 'unknown' }), timeoutMs);
    });
    try {
      const receivers = await this.publish(nodeId, { from: this.deps.nodeId, id, body });
      return receivers === 0 ? { outcome: 'no_node' } : await answered;
    } catch {
      // RedisConnections logs outages.
      return { outcome: 'unknown' };
    } finally {
      clearTimeout(timer);
      this.pending.delete(id);
    }
  }

  private async receive(text: string): Promise<void> {
    try {
      const message = envelope.parse(JSON.parse(text));
      if ('answerTo' in message) {
        this.pending.get(message.answerTo)?.({ outcome: 'answered', body: message.body });
        return;
      }
      const { from, id, body } = message;
      // The client of Redis repeats a command whose reply was lost with the connection.
      const key = `${from} ${id}`;
      if (!this.handler || this.handled.has(key)) return;
      this.handled.set(key, true);
      await this.publish(from, { answerTo: id, body: await this.handler(body) });
    } catch (error) {
      this.deps.logger.warn({ err: error, topic: this.topic }, 'a request of another node was not answered');
    }
  }

  /** @returns the number of nodes that have received the message. */
  private publish(nodeId: string, message: z.input<typeof envelope>): Promise<number> {
    return this.deps.redis.commands.publish(this.channelOf(nodeId), JSON.stringify(message));
  }

  private channelOf(nodeId: string): string {
    return `parley:${this.deps.installation}:${this.topic}:${nodeId}`;
  }
}
