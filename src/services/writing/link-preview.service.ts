import type { ObjectId } from 'mongodb';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Transactions } from '../../db/transaction';
import { MAX_PREVIEWS, type LinkPreview } from '../../models/writing/link-preview.model';
import type { MessageDocument } from '../../models/message.model';
import { AppError } from '../../utils/errors';
import { FairQueue } from '../kernel/fair-queue';
import { linksIn } from '../../utils/links';
import type { Logger } from '../../utils/logger';
import { CountedCache } from '../../utils/counted-cache';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { LinkFetcher } from './link-fetcher';
import type { MessageService } from '../message.service';
import { summarise } from './page-summary';

/** How many messages are processed at the same time and wait, in all and per sender. */
const QUEUE_LIMITS = { active: 4, activePerKey: 1, waiting: 500, waitingPerKey: 30 };
/** Pages per minute that are fetched for the messages of one user. */
const USER_LIMIT = { points: 30, duration: 60 };
/** How long a preview is cached, and how long a failure. */
const PREVIEW_TTL_MS = 10 * 60_000;
const FAILURE_TTL_MS = 60_000;

/**
 * Adds previews of linked pages to messages, after the send: the message is published immediately, and updated when the
 * pages have been fetched. The queue alternates between senders, so one who links to slow pages delays nobody else. If
 * there is too much to fetch, messages get no previews.
 */
export class LinkPreviewService {
  readonly queue = new FairQueue(QUEUE_LIMITS);
  private readonly fetches = new RateLimiterMemory(USER_LIMIT);
  /** A promise for each message that waits or is being processed. */
  private readonly pending = new Set<Promise<void>>();
  private unsubscribe: (() => void) | undefined;
  readonly cache = new CountedCache<string, Promise<LinkPreview | null>>({
    max: 1000,
    ttl: PREVIEW_TTL_MS,
  });

  constructor(
    private readonly transactions: Transactions,
    private readonly messages: MessageService,
    private readonly fetcher: LinkFetcher,
    private readonly bus: EventBus,
    private readonly logger: Logger,
    private readonly enabled: boolean,
  ) {}

  /** Starts to process new and edited messages, if enabled. */
  start(): void {
    if (this.enabled) this.unsubscribe = this.bus.subscribe((event) => this.onEvent(event), 'publisher');
  }

  /** Resolves when nothing is being fetched; waiting messages get no previews. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.queue.close();
    await Promise.all(this.pending);
  }

  private onEvent(event: DomainEvent): void {
    if (event.type === 'message.created' || event.type === 'message.edited') this.add(event.message);
  }

  private add({ _id, body, senderId: sender }: MessageDocument): void {
    const links = linksIn(body, MAX_PREVIEWS);
    if (links.length === 0) return;
    const senderId = sender.toHexString();
    this.transactions.outside(() => {
      const work = this.queue
        .run(senderId, () => this.preview(_id, body, links, senderId))
        .catch((error: unknown) => {
          if (error instanceof AppError)
            this.logger.debug({ reason: error.code }, 'no previews for a message');
          else this.logger.error({ err: error }, 'previewing links failed');
        })
        .finally(() => this.pending.delete(work));
      this.pending.add(work);
    });
  }

  private async preview(messageId: ObjectId, body: string, links: string[], senderId: string): Promise<void> {
    const found = await Promise.all(links.map((link) => this.previewOf(link, senderId)));
    const previews = found.filter((preview) => preview !== null);
    if (previews.length === 0 || !this.unsubscribe) return;
    await this.messages.setLinkPreviews(messageId, body, previews);
  }

  private previewOf(link: string, senderId: string): Promise<LinkPreview | null> {
    const cached = this.cache.get(link);
    if (cached) return cached;
    const fetching = this.read(link, senderId).catch((error: unknown) => {
      this.logger.debug({ link, reason: String(error) }, 'no preview of a link');
      // A rate limit says nothing about the page, so it is not cached.
      if (error instanceof AppError) this.cache.delete(link);
      else this.cache.set(link, fetching, { ttl: FAILURE_TTL_MS });
      return null;
    });
    this.cache.set(link, fetching);
    return fetching;
  }

  /** @throws AppError rate_limited; the errors of LinkFetcher */
  private async read(link: string, senderId: string): Promise<LinkPreview | null> {
    await this.fetches.consume(senderId).catch(() => {
      throw new AppError('rate_limited', 'The sender links to too many pages.');
    });
    return summarise(link, await this.fetcher.fetch(link));
  }
}
