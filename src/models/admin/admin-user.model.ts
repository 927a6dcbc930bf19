import { z } from 'zod';
import { singleLineText, limitSchema, nextCursorOut, timestampOut } from '../kernel/common.model';
import { prefixCursor } from '../kernel/prefix-cursor.model';
import { GLOBAL_ROLES, stateOf, toUser, USER_STATES, userSchema, type UserDocument } from '../user.model';

/** By what an administrator finds a user: each is served by an index of its own. */
export const USER_SEARCH_FIELDS = ['username', 'email', 'displayName'] as const;

export const adminUsersQuery = z.strictObject({
  state: z.enum(USER_STATES).optional(),
  role: z.enum(GLOBAL_ROLES).optional(),
  query: singleLineText(1, 254)
    .optional()
    .meta({ description: 'How the field begins, without regard to case and accents.' }),
  field: z
    .enum(USER_SEARCH_FIELDS)
    .default('username')
    .meta({ description: 'What `query` is about; the users then come in the order of this field.' }),
  cursor: prefixCursor.optional(),
  limit: limitSchema(50, 200),
});
export type AdminUsersQuery = z.output<typeof adminUsersQuery>;

export const banInput = z.strictObject({ reason: singleLineText(1, 500) }).meta({ id: 'BanUserInput' });
export type BanInput = z.output<typeof banInput>;
export const deleteUserInput = z
  .strictObject({ reason: singleLineText(1, 500) })
  .meta({ id: 'DeleteUserInput' });
export type DeleteUserInput = z.output<typeof deleteUserInput>;

/** What the sessions of a user tell. */
export interface SessionSummary {
  /** That have neither ended nor been revoked. */
  open: number;
  /** When any of those that are still known was last used; at most five minutes too early. */
  lastSeenAt: Date | null;
}

const accountFields = {
  ...userSchema.shape,
  state: z.enum(USER_STATES),
  suspension: z
    .strictObject({ reason: z.string(), until: timestampOut.nullable() })
    .nullable()
    .meta({ description: 'Null unless the user is suspended now.' }),
  ban: z.strictObject({ reason: z.string(), bannedAt: timestampOut }).nullable(),
  updatedAt: timestampOut,
};

/** An account as it is taken out of the server. */
export const accountSchema = z.strictObject(accountFields).meta({ id: 'Account' });
export type Account = z.output<typeof accountSchema>;

/** A user as administrators see them. */
export const adminUserSchema = z
  .strictObject({
    ...accountFields,
    sessions: z.number().int().meta({ description: 'On how many devices they are logged in.' }),
    lastSeenAt: timestampOut.nullable().meta({
      description: 'The end of the last connection or the last use of a session, to five minutes.',
    }),
  })
  .meta({ id: 'AdminUser' });
export type AdminUser = z.output<typeof adminUserSchema>;
export const adminUserReply = z.strictObject({ user: adminUserSchema });
export const adminUsersReply = z.strictObject({ users: z.array(adminUserSchema), nextCursor: nextCursorOut });

export function toAccount(user: UserDocument): Account {
  const state = stateOf(user);
  const { suspension, ban } = user;
  return {
    ...toUser(user),
    state,
    suspension:
      state === 'suspended' && suspension
        ? { reason: suspension.reason, until: suspension.until?.toISOString() ?? null }
        : null,
    ban: ban ? { reason: ban.reason, bannedAt: ban.bannedAt.toISOString() } : null,
    updatedAt: user.updatedAt.toISOString(),
  };
}

export function toAdminUser(user: UserDocument, { open, lastSeenAt }: SessionSummary): AdminUser {
  const times = [user.lastSeenAt, lastSeenAt].flatMap((time) => time?.getTime() ?? []);
  return {
    ...toAccount(user),
    sessions: open,
    lastSeenAt: times.length > 0 ? new Date(Math.max(...times)).toISOString() : null,
  };
}
