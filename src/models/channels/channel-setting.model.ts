import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema } from '../kernel/common.model';
import { NOTIFICATION_LEVELS, type NotificationLevel } from '../users/preferences.model';

/** The settings of one user for one channel. Missing if the user's preferences apply. */
export interface ChannelSettingDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  notificationLevel: NotificationLevel;
}

const inputFields = {
  notificationLevel: z
    .enum(NOTIFICATION_LEVELS)
    .nullable()
    .meta({ description: "Null if the user's preferences apply." }),
};
export const channelSettingInput = z.strictObject(inputFields).meta({ id: 'ChannelSettingInput' });
export type ChannelSettingInput = z.output<typeof channelSettingInput>;
export const channelSettingEvent = z.strictObject({ channelId: idSchema, ...inputFields });

export const channelSettingSchema = z
  .strictObject({ channelId: idOut, ...inputFields })
  .meta({ id: 'ChannelSetting' });
export type ChannelSetting = z.output<typeof channelSettingSchema>;
export const channelSettingReply = z.strictObject({ setting: channelSettingSchema });
