import { deserialize } from 'bson';
import { inTime } from '../../utils/in-time';
import type { Logger } from '../../utils/logger';
import type { RedisConnections } from './redis';
import { encodeDocument } from './relay-batch';

/** How long the other nodes have to answer. */
const ANSWER_TIMEOUT_MS = 2000;

/** A question to all nodes. The types of its input and answer are those that BSON preserves. */
export interface Question<Input, Answer> {
  name: string;
  /** Only types; never set. */
  types?: { input: Input; answer: Answer };
}

/** What one node has answered. */
export interface NodeAnswer<Answer> {
  nodeId: string;
  answer: Answer;
}

type Handler = (input: unknown) => unknown;

interface Envelope {
  from: string;
  id: number;
}

/**
 * Asks all nodes for something that each of them has in memory, such as its open connections. Nodes that do not answer in
 * ANSWER_TIMEOUT_MS, and all others while Redis cannot be reached, are left out.
 */
export class NodeQuestions {
  private readonly handlers = new Map<string, Handler>();
  private readonly waiting = new Map<number, (answer: NodeAnswer<unknown>) => void>();
  private readonly channel: string;
  private lastId = 0;

  /** @param redis undefined if there are no other nodes. */
  constructor(
    private readonly redis: RedisConnections | undefined,
    private readonly nodeId: string,
    installation: string,
    private readonly logger: Pick<Logger, 'warn'>,
  ) {
    this.channel = `parley:${installation}:questions`;
  }

  async start(): Promise<void> {
    await this.redis?.subscribe({
      channels: [this.channel, this.answersFor(this.nodeId)],
      receive: (channel, message) => void this.receive(channel, message),
      subscribed: () => undefined,
    });
  }

  /** Sets how this node answers a question. */
  answer<Input, Answer>(
    { name }: Question<Input, Answer>,
    handler: (input: Input) => Answer | Promise<Answer>,
  ): void {
    this.handlers.set(name, handler as Handler);
  }

  /** Asks this node and all others. @returns their answers, that of this node first */
  async ask<Input, Answer>({ name }: Question<Input, Answer>, input: Input): Promise<NodeAnswer<Answer>[]> {
    const own = { nodeId: this.nodeId, answer: (await this.handlers.get(name)!(input)) as Answer };
    const others = await this.askOthers(name, input);
    return [own, ...(others as NodeAnswer<Answer>[])];
  }

  private async askOthers(name: string, input: unknown): Promise<NodeAnswer<unknown>[]> {
    if (!this.redis?.isReady) return [];
    const id = ++this.lastId;
    const answers: NodeAnswer<unknown>[] = [];
    let expected = Infinity;
    let finish = () => {};
    const all = new Promise<void>((resolve) => (finish = resolve));
    this.waiting.set(id, (answer) => {
      answers.push(answer);
      if (answers.length >= expected) finish();
    });
    try {
      const question = Buffer.from(encodeDocument({ from: this.nodeId, id, name, input }));
      // Redis returns the number of subscribers, which includes this node.
      expected = (await this.redis.commands.publish(this.channel, question)) - 1;
      if (answers.length < expected) await inTime(all, ANSWER_TIMEOUT_MS);
    } catch (error) {
      this.logger.warn({ err: error, question: name }, 'the other nodes could not be asked');
    } finally {
      this.waiting.delete(id);
    }
    return answers;
  }

  private async receive(channel: string, message: Buffer): Promise<void> {
    try {
      if (channel === this.channel) await this.reply(message);
      else {
        const { from, id, answer } = deserialize(message) as Envelope & { answer: unknown };
        this.waiting.get(id)?.({ nodeId: from, answer });
      }
    } catch (error) {
      this.logger.warn({ err: error }, 'a question of another node could not be answered');
    }
  }

  private async reply(message: Buffer): Promise<void> {
    const { from, id, name, input } = deserialize(message) as Envelope & { name: string; input: unknown };
    if (from === this.nodeId) return;
    // A node of a later version may ask what this one does not know.
    const handler = this.handlers.get(name);
    if (!handler) return;
    const answer = Buffer.from(encodeDocument({ from: this.nodeId, id, answer: await handler(input) }));
    await this.redis?.commands.publish(this.answersFor(from), answer);
  }

  private answersFor(node: string): string {
    return `${this.channel}:answers:${node}`;
  }
}
