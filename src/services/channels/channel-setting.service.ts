import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelSetting, ChannelSettingInput } from '../../models/channels/channel-setting.model';
import type { Caller } from '../../models/identity/session.model';
import { lockAccount } from '../users/account-lock';
import type { Access } from '../access/access';
import type { EventBus } from '../kernel/event-bus';

/** The notification settings of users for single channels, on all of their devices. */
export class ChannelSettingService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /** @throws AppError not_found */
  async get(caller: Caller, channelId: string): Promise<ChannelSetting> {
    const { channel } = await this.access.channel(caller, 'channel.read', channelId);
    return this.read(caller.userId, channel._id);
  }

  /** @throws AppError not_found */
  set(
    caller: Caller,
    channelId: string,
    { notificationLevel }: ChannelSettingInput,
  ): Promise<ChannelSetting> {
    return this.transactions.run(async () => {
      const { channel } = await this.access.channel(caller, 'channel.read', channelId);
      const own = { userId: caller.userId, channelId: channel._id };
      await lockAccount(this.collections, caller.userId);
      const before = await this.read(caller.userId, channel._id);
      if (before.notificationLevel === notificationLevel) return before;
      if (notificationLevel === null) await this.collections.channelSettings.deleteOne(own);
      else
        await this.collections.channelSettings.updateOne(
          own,
          { $set: { notificationLevel } },
          { upsert: true },
        );
      const setting = { ...before, notificationLevel };
      await this.bus.publish({ type: 'channel_setting.changed', userId: caller.userId, setting });
      return setting;
    });
  }

  private async read(userId: ObjectId, channelId: ObjectId): Promise<ChannelSetting> {
    const own = await this.collections.channelSettings.findOne({ userId, channelId });
    return { channelId: channelId.toHexString(), notificationLevel: own?.notificationLevel ?? null };
  }
}
