import { z } from 'zod';
import { RESTRICTION_KINDS, type ChannelRestrictionDocument } from '../channel.model';
import { idOut, singleLineText, nextCursorOut, pageQuery, timestampOut } from '../kernel/common.model';
import { publicUserSchema, toPublicUser, type UserDocument } from '../user.model';

const kind = z.enum(RESTRICTION_KINDS).meta({
  description: 'A `muted` user can read but not write. For a `banned` user the channel does not exist.',
});

export const restrictInput = z
  .strictObject({
    kind,
    reason: singleLineText(0, 500)
      .default('')
      .meta({ description: 'The reason, which the user is notified of.' }),
    expiresAt: z.iso
      .datetime()
      .optional()
      .meta({ description: 'When the restriction expires; omit it for an unlimited restriction.' }),
  })
  .refine((input) => input.expiresAt === undefined || new Date(input.expiresAt) > new Date(), {
    message: 'must be in the future',
    path: ['expiresAt'],
  })
  .meta({ id: 'RestrictInput' });
export type RestrictInput = z.output<typeof restrictInput>;

export const restrictionsQuery = pageQuery.extend({ kind: z.enum(RESTRICTION_KINDS).optional() });
export type RestrictionsQuery = z.output<typeof restrictionsQuery>;

export const channelRestrictionSchema = z
  .strictObject({
    channelId: idOut,
    user: publicUserSchema,
    kind,
    reason: z.string(),
    restrictedBy: idOut,
    createdAt: timestampOut,
    expiresAt: timestampOut.nullable().meta({ description: 'Null if the restriction does not expire.' }),
  })
  .meta({ id: 'ChannelRestriction' });
export type ChannelRestriction = z.output<typeof channelRestrictionSchema>;

export const restrictionReply = z.strictObject({ restriction: channelRestrictionSchema });
export const restrictionsReply = z.strictObject({
  restrictions: z.array(channelRestrictionSchema),
  nextCursor: nextCursorOut,
});

export function toChannelRestriction(
  restriction: ChannelRestrictionDocument,
  user: UserDocument,
): ChannelRestriction {
  return {
    channelId: restriction.channelId.toHexString(),
    user: toPublicUser(user),
    kind: restriction.kind,
    reason: restriction.reason,
    restrictedBy: restriction.restrictedBy.toHexString(),
    createdAt: restriction.createdAt.toISOString(),
    expiresAt: restriction.expiresAt?.toISOString() ?? null,
  };
}
