import { ObjectId } from 'mongodb';
import { LRUCache } from 'lru-cache';
import type { Transactions } from '../db/transaction';
import { MAX_PREVIEWS, type LinkPreview } from '../models/link-preview.model';
import type { Message } from '../models/message.model';
import { linksIn } from '../utils/links';
import type { Logger } from '../utils/logger';
import type { DomainEvent, EventBus } from './event-bus';
import type { LinkFetcher } from './link-fetcher';
import type { MessageService } from './message.service';
import { summarise } from './page-summary';

/** Messages whose links are fetched at the same time, and that wait for it; of more, there are no previews. */
const AT_ONCE = 4;
const MAX_WAITING = 500;
/** For how long what a page said, or that it said nothing, is not asked for again, in milliseconds. */
const KEPT = 10 * 60_000;
/** How long after an edit its event still counts as that of an edit, in milliseconds. */
const RECENT = 60_000;

/**
 * Gives messages previews of the pages that they link to, behind the send: the message is there at once, and
 * changes when the pages have answered.
 */
export class LinkPreviewService {
  private readonly waiting: { messageId: ObjectId; body: string }[] = [];
  private readonly running = new Set<Promise<void>>();
  private readonly unsubscribe: () => void;
  private stopped = false;
  private readonly known = new LRUCache<string, Promise<LinkPreview | null>>({ max: 1000, ttl: KEPT });

  constructor(
    private readonly transactions: Transactions,
    private readonly messages: MessageService,
    private readonly fetcher: LinkFetcher,
    bus: EventBus,
    private readonly logger: Logger,
    enabled: boolean,
  ) {
    this.unsubscribe = enabled ? bus.subscribe((event) => this.note(event)) : () => undefined;
  }

  /** Resolves when nothing is being fetched; the messages that wait get no previews. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.unsubscribe();
    this.waiting.length = 0;
    await Promise.all(this.running);
  }

  private note(event: DomainEvent): void {
    if (event.type !== 'client') return;
    if (event.name === 'message:created') this.add(event.payload.message);
    else if (event.name === 'message:updated' && wasEdited(event.payload.message)) {
      this.add(event.payload.message);
    }
  }

  private add({ id, body }: Message): void {
    if (linksIn(body, 1).length === 0 || this.stopped) return;
    if (this.waiting.length >= MAX_WAITING) {
      this.logger.warn('too many messages wait for previews of their links: one gets none');
      return;
    }
    this.waiting.push({ messageId: new ObjectId(id), body });
    this.transactions.outside(() => this.work());
  }

  private work(): void {
    while (this.running.size < AT_ONCE) {
      const next = this.waiting.shift();
      if (!next) return;
      const job = this.preview(next.messageId, next.body)
        .catch((error: unknown) => this.logger.error({ err: error }, 'previewing links failed'))
        .finally(() => {
          this.running.delete(job);
          this.work();
        });
      this.running.add(job);
    }
  }

  private async preview(messageId: ObjectId, body: string): Promise<void> {
    const links = linksIn(body, MAX_PREVIEWS);
    const found = await Promise.all(links.map((link) => this.previewOf(link)));
    const previews = found.filter((preview) => preview !== null);
    if (previews.length === 0 || this.stopped) return;
    await this.messages.setLinkPreviews(messageId, body, previews);
  }

  private previewOf(link: string): Promise<LinkPreview | null> {
    const known = this.known.get(link);
    if (known) return known;
    const asked = this.fetcher.fetch(link).then(
      (page) => summarise(link, page),
      (error: unknown) => {
        this.logger.debug({ link, reason: String(error) }, 'no preview of a link');
        return null;
      },
    );
    this.known.set(link, asked);
    return asked;
  }
}

/** A reaction or a pin changes a message, too. */
function wasEdited({ editedAt }: Message): boolean {
  return editedAt !== null && Date.now() - new Date(editedAt).getTime() < RECENT;
}
