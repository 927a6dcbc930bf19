import { LRUCache } from 'lru-cache';
import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Caller } from '../../models/identity/session.model';
import { TYPING_EXPIRY_MS, TYPING_INTERVAL_MS } from '../../models/presence/typing.model';
import { audienceOfChannel, type Access } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { ChannelAudience, DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { PresenceService } from './presence.service';

/** Rights to type that are kept, and channels in which one user types at a time. */
const CACHE_SIZE = 10_000;
const MAX_CHANNELS_PER_USER = 8;

/** Who is told that a user types. */
interface TypingAudience {
  audience: ChannelAudience;
  /** The user themselves, and those whom a block stands between. */
  excluded: ObjectId[];
}

interface Typist extends TypingAudience {
  typing: boolean;
  publishedAt: number;
  /** The version of all rights by which the audience was found. */
  version: number;
  expiry: NodeJS.Timeout;
}

/** Who types in which channel. It is told and forgotten, never stored. */
export class TypingService {
  /** By user and channel. One stays for a moment after it has ended, so that nobody can make others flicker. */
  private readonly typists = new Map<string, Map<string, Typist>>();
  /** Who may type, and who hears it. */
  private readonly audienceCache = new LRUCache<string, TypingAudience>({ max: CACHE_SIZE });
  /** The version of all rights that `known` is of. */
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
   * The caller types in a channel. It is told to those who read it, once in 3 seconds at most, and ends by itself
   * when it is not said again.
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

  /** The caller has stopped typing. Where they did not type, it changes nothing. */
  async stop(caller: Caller, channelId: string): Promise<void> {
    await this.end(caller.userId.toHexString(), channelId);
  }

  /** The user has gone: they type nowhere any more. */
  async stopAll(userId: ObjectId): Promise<void> {
    const key = userId.toHexString();
    await Promise.all(
      [...(this.typists.get(key)?.keys() ?? [])].map((channelId) => this.end(key, channelId)),
    );
  }

  /** Forgets who types, as the timers would in a few seconds. */
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
    // The channel may have become private since, or be gone.
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

  /** @returns who typed until now. */
  private markStopped(userId: string, channelId: string): Typist | undefined {
    const own = this.typists.get(userId);
    const typist = own?.get(channelId);
    if (!own || !typist?.typing) return undefined;
    typist.typing = false;
    clearTimeout(typist.expiry);
    const forget = () => {
      if (own.get(channelId) === typist) own.delete(channelId);
      if (own.size === 0 && this.typists.get(userId) === own) this.typists.delete(userId);
    };
    const left = typist.publishedAt + TYPING_INTERVAL_MS - Date.now();
    if (left <= 0) forget();
    else typist.expiry = setTimeout(forget, left).unref();
    return typist;
  }

  /** @returns undefined where rights change faster than they can be read: nobody is told then. */
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
      // What has changed in the meantime may have changed this.
      if (version !== this.rights.current) continue;
      const found = { audience: audienceOfChannel(channel), excluded };
      this.audienceCache.set(key, found);
      return found;
    }
    return undefined;
  }

  /** Those who have blocked a user, and those whom the user has blocked. */
  private async blockedWith(userId: ObjectId): Promise<ObjectId[]> {
    const blocks = await this.collections.blocks.find({ $or: [{ userId }, { blockedId: userId }] }).toArray();
    return blocks.map((block) => (block.userId.equals(userId) ? block.blockedId : block.userId));
  }

  private handle(event: DomainEvent): void {
    // A message says that the typing has ended, so nothing else has to.
    if (event.type === 'message.created') {
      this.markStopped(event.message.senderId.toHexString(), event.message.channelId.toHexString());
    }
  }
}
