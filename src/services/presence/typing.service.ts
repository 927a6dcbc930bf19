import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Caller } from '../../models/identity/session.model';
import { TYPING_EXPIRY_MS, TYPING_INTERVAL_MS } from '../../models/presence/typing.model';
import { CountedCache } from '../../utils/counted-cache';
import { audienceOfChannel, type Access } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { ChannelAudience, DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { PresenceService } from './presence.service';

/** Cached audiences, and the channels in which one user can type at a time. */
const CACHE_SIZE = 10_000;
const MAX_CHANNELS_PER_USER = 8;

/** The users who receive that a user is typing. */
interface TypingAudience {
  audience: ChannelAudience;
  /** The user themselves, and users with a block between them. */
  excluded: ObjectId[];
}

interface Typist extends TypingAudience {
  typing: boolean;
  publishedAt: number;
  /** The version of rights with which the audience was found. */
  version: number;
  expiry: NodeJS.Timeout;
}

/** Publishes who is typing in which channel. This is never stored. */
export class TypingService {
  /** By user and channel. An entry remains for a moment after typing has stopped, so that events stay limited. */
  private readonly typists = new Map<string, Map<string, Typist>>();
  /** The audience of each user who may type in a channel, by user and channel. */
  readonly audienceCache = new CountedCache<string, TypingAudience>({ max: CACHE_SIZE });
  /** The version of rights with which `audienceCache` was filled. */
  private cacheVersion = 0;

  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly presence: PresenceService,
    private readonly bus: EventBus,
    private readonly rights: RightsVersion,
  ) {
    bus.subscribe((event) => this.handle(event));
  }

  /**
   * Publishes that the caller is typing in a channel to its readers, once in 3 seconds at most. It expires if it is not
   * repeated.
   * @throws AppError as sending a message does
   */
  async start(caller: Caller, channelId: string): Promise<void> {
    const audience = await this.audienceFor(caller, channelId);
    if (!audience || this.presence.isHidden(caller.userId)) return;
    const userId = caller.userId.toHexString();
    const own = this.typists.get(userId) ?? new Map<string, Typist>();
    const now = Date.now();
    const known = own.get(channelId);
    if (known && now - known.publishedAt < TYPING_INTERVAL_MS) {
      if (known.typing) known.expiry.refresh();
      return;
    }
    if (known) clearTimeout(known.expiry);
    else if (own.size >= MAX_CHANNELS_PER_USER) return;
    const expiry = setTimeout(() => void this.end(userId, channelId), TYPING_EXPIRY_MS);
    expiry.unref();
    const version = this.cacheVersion;
    const typist: Typist = { typing: true, publishedAt: now, ...audience, version, expiry };
    this.typists.set(userId, own.set(channelId, typist));
    await this.publish(userId, typist);
  }

  /** Publishes that the caller has stopped typing in a channel. Does nothing if they were not typing. */
  async stop(caller: Caller, channelId: string): Promise<void> {
    await this.end(caller.userId.toHexString(), channelId);
  }

  /** Stops typing in all channels, when a user has disconnected. */
  async stopAll(userId: ObjectId): Promise<void> {
    const key = userId.toHexString();
    await Promise.all(
      [...(this.typists.get(key)?.keys() ?? [])].map((channelId) => this.end(key, channelId)),
    );
  }

  /** Removes everything without publishing it: clients expire typing themselves. */
  close(): void {
    for (const own of this.typists.values()) {
      for (const { expiry } of own.values()) clearTimeout(expiry);
    }
    this.typists.clear();
  }

  private async end(userId: string, channelId: string): Promise<void> {
    const typist = this.markStopped(userId, channelId);
    if (!typist) return;
    if (typist.version === this.rights.current) return this.publish(userId, typist);
    // The channel may have become private or been deleted since.
    await this.rights.publish(
      () => this.collections.channels.findOne({ _id: new ObjectId(channelId) }),
      async (channel) => {
        if (channel) await this.publish(userId, { ...typist, audience: audienceOfChannel(channel) });
      },
    );
  }

  private publish(userId: string, { audience, excluded, typing }: Typist): Promise<void> {
    return this.bus.publish({
      type: 'typing.changed',
      audience,
      excluded,
      userId: new ObjectId(userId),
      typing,
    });
  }

  /** @returns the entry that was active until now. */
  private markStopped(userId: string, channelId: string): Typist | undefined {
    const own = this.typists.get(userId);
    const typist = own?.get(channelId);
    if (!own || !typist?.typing) return undefined;
    typist.typing = false;
    clearTimeout(typist.expiry);
    const remove = () => {
      if (own.get(channelId) === typist) own.delete(channelId);
      if (own.size === 0 && this.typists.get(userId) === own) this.typists.delete(userId);
    };
    const left = typist.publishedAt + TYPING_INTERVAL_MS - Date.now();
    if (left <= 0) remove();
    else typist.expiry = setTimeout(remove, left).unref();
    return typist;
  }

  /** @returns undefined if rights change faster than they can be read; nothing is published then. */
  private async audienceFor(caller: Caller, channelId: string): Promise<TypingAudience | undefined> {
    const key = `${caller.userId.toHexString()} ${channelId}`;
    for (let tries = 0; tries < 3; tries++) {
      const version = this.rights.current;
      if (version !== this.cacheVersion) this.audienceCache.clear();
      this.cacheVersion = version;
      const known = this.audienceCache.get(key);
      if (known) return known;
      const { channel } = await this.access.channel(caller, 'message.send', channelId);
      const excluded = [caller.userId, ...(await this.blockedWith(caller.userId))];
      // If rights have changed meanwhile, the audience may be outdated.
      if (version !== this.rights.current) continue;
      const found = { audience: audienceOfChannel(channel), excluded };
      this.audienceCache.set(key, found);
      return found;
    }
    return undefined;
  }

  /** Finds the users who have blocked a user, or whom the user has blocked. */
  private async blockedWith(userId: ObjectId): Promise<ObjectId[]> {
    const blocks = await this.collections.blocks.find({ $or: [{ userId }, { blockedId: userId }] }).toArray();
    return blocks.map((block) => (block.userId.equals(userId) ? block.blockedId : block.userId));
  }

  private handle(event: DomainEvent): void {
    // Clients end typing when a message arrives, so no event is needed.
    if (event.type === 'message.created') {
      this.markStopped(event.message.senderId.toHexString(), event.message.channelId.toHexString());
    }
  }
}
