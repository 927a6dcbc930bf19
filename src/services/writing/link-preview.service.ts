import type { ObjectId } from 'mongodb';
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Transactions } from '../../db/transaction';
import { MAX_PREVIEWS, type LinkPreview } from '../../models/writing/link-preview.model';
import type { MessageDocument } from '../../models/message.model';
import { AppError } from '../../utils/errors';
import { FairQueue } from '../kernel/fair-queue';
import { linksIn } from '../../utils/links';
import type { Logger } from '../../utils/logger';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { LinkFetcher } from './link-fetcher';
import type { MessageService } from '../message.service';
import { summarise } from './page-summary';

/** Messages whose links are fetched at the same time and that wait, in all and of one sender. */
const MESSAGES = { active: 4, activePerKey: 1, waiting: 500, waitingPerKey: 30 };
/** Pages that are fetched in a minute for what one user writes. */
const PER_USER = { points: 30, duration: 60 };
/** For how long a page is not fetched again, in milliseconds: after it was read, and after that failed. */
const KEPT = 10 * 60_000;
const FAILURE_KEPT = 60_000;

/**
 * Gives messages previews of the pages that they link to, after the send: the message is there at once, and
 * changes when the pages have answered. Senders take turns, so one who links to slow pages delays nobody else, and
 * where there is too much to fetch, messages get no previews.
 */
export class LinkPreviewService {
  private readonly queue = new FairQueue(MESSAGES);
  private readonly fetches = new RateLimiterMemory(PER_USER);
  /** The messages that wait and those whose links are being fetched. */
  private readonly jobs = new Set<Promise<void>>();
  private unsubscribe: (() => void) | undefined;
  private readonly known = new LRUCache<string, Promise<LinkPreview | null>>({ max: 1000, ttl: KEPT });

  constructor(
    private readonly transactions: Transactions,
    private readonly messages: MessageService,
    private readonly fetcher: LinkFetcher,
    private readonly bus: EventBus,
    private readonly logger: Logger,
    private readonly enabled: boolean,
  ) {}

  /** Begins to fetch what messages link to that are sent from now on. */
  start(): void {
    if (this.enabled) this.unsubscribe = this.bus.subscribe((event) => this.note(event));
  }

  /** Resolves when nothing is being fetched; the messages that wait get no previews. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.queue.close();
    await Promise.all(this.jobs);
  }

  private note(event: DomainEvent): void {
    if (event.type === 'message.created' || event.type === 'message.edited') this.add(event.message);
  }

  private add({ _id, body, senderId: sender }: MessageDocument): void {
    const links = linksIn(body, MAX_PREVIEWS);
    if (links.length === 0) return;
    const senderId = sender.toHexString();
    const work = () => this.preview(_id, body, links, senderId);
    this.transactions.outside(() => {
      const job = this.queue
        .run(senderId, work)
        .catch((error: unknown) => {
          if (error instanceof AppError)
            this.logger.debug({ reason: error.code }, 'no previews for a message');
          else this.logger.error({ err: error }, 'previewing links failed');
        })
        .finally(() => this.jobs.delete(job));
      this.jobs.add(job);
    });
  }

  private async preview(messageId: ObjectId, body: string, links: string[], senderId: string): Promise<void> {
    const found = await Promise.all(links.map((link) => this.previewOf(link, senderId)));
    const previews = found.filter((preview) => preview !== null);
    if (previews.length === 0 || !this.unsubscribe) return;
    await this.messages.setLinkPreviews(messageId, body, previews);
  }

  private previewOf(link: string, senderId: string): Promise<LinkPreview | null> {
    const known = this.known.get(link);
    if (known) return known;
    const asked = this.read(link, senderId).catch((error: unknown) => {
      this.logger.debug({ link, reason: String(error) }, 'no preview of a link');
      // That too much was fetched says nothing of the page: the next message may have its preview.
      if (error instanceof AppError) this.known.delete(link);
      else this.known.set(link, asked, { ttl: FAILURE_KEPT });
      return null;
    });
    this.known.set(link, asked);
    return asked;
  }

  /** @throws AppError rate_limited, and what LinkFetcher throws */
  private async read(link: string, senderId: string): Promise<LinkPreview | null> {
    await this.fetches.consume(senderId).catch(() => {
      throw new AppError('rate_limited', 'The sender links to too many pages.');
    });
    return summarise(link, await this.fetcher.fetch(link));
  }
}
