import { z } from 'zod';
import type { ChannelMemberDocument } from '../channel.model';
import { idOut, nextCursorOut, timestampOut } from '../kernel/common.model';
import { publicUserSchema, toPublicUser, type UserDocument } from '../user.model';

/** A member of a channel. In a public channel, `joinedAt` is when the user joined its group. */
export const channelMemberSchema = z
  .strictObject({ userId: idOut, joinedAt: timestampOut, user: publicUserSchema })
  .meta({ id: 'ChannelMember' });
export type ChannelMember = z.output<typeof channelMemberSchema>;
export const channelMembersReply = z.strictObject({
  members: z.array(channelMemberSchema),
  nextCursor: nextCursorOut,
});

export function toChannelMember(
  { userId, joinedAt }: Pick<ChannelMemberDocument, 'userId' | 'joinedAt'>,
  user: UserDocument,
): ChannelMember {
  return { userId: userId.toHexString(), joinedAt: joinedAt.toISOString(), user: toPublicUser(user) };
}
