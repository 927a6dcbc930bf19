import type { ObjectId } from 'mongodb';
import type { ChannelDocument } from '../../models/channel.model';
import { CountedCache } from '../../utils/counted-cache';
import type { EventBus } from '../kernel/event-bus';

/** Remembered channels. */
const MAX_CHANNELS = 20_000;

/**
 * Remembers the last known state of channels, for writes that are guarded by its revision: every change of a channel
 * increments the revision, so a write that expects one that is no longer current changes nothing. Messages of other nodes
 * update what is remembered. Whatever else another node has changed is noticed by such a write; then `forget` the channel
 * and read it again.
 */
export class ChannelMemory {
  readonly channels = new CountedCache<string, ChannelDocument>({ max: MAX_CHANNELS });

  constructor(bus: EventBus) {
    bus.subscribe((event) => {
      if (event.type === 'message.created' && this.get(event.channel._id)) this.remember(event.channel);
    });
  }

  get(_id: ObjectId): ChannelDocument | undefined {
    return this.channels.get(_id.toHexString());
  }

  /** Remembers a committed state, unless a later one is known. */
  remember(channel: ChannelDocument): void {
    const known = this.get(channel._id);
    if (!known || known.revision <= channel.revision) this.channels.set(channel._id.toHexString(), channel);
  }

  forget(_id: ObjectId): void {
    this.channels.delete(_id.toHexString());
  }
}
