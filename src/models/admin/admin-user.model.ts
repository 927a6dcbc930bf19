import { z } from 'zod';
import { singleLineText, limitSchema, nextCursorOut, timestampOut } from '../kernel/common.model';
import { prefixCursor } from '../kernel/prefix-cursor.model';
import { GLOBAL_ROLES, stateOf, toUser, USER_STATES, userSchema, type UserDocument } from '../user.model';

/** The fields by which an administrator can find users. Each has its own index. */
export const USER_SEARCH_FIELDS = ['username', 'email', 'displayName'] as const;

export const adminUsersQuery = z.strictObject({
  state: z.enum(USER_STATES).optional(),
  role: z.enum(GLOBAL_ROLES).optional(),
  query: singleLineText(1, 254)
    .optional()
    .meta({ description: 'A prefix of the field; case and accents are ignored.' }),
  field: z
    .enum(USER_SEARCH_FIELDS)
    .default('username')
    .meta({ description: 'The field that `query` searches. With `query`, the results are sorted by it.' }),
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

/** A summary of the sessions of a user. */
export interface SessionSummary {
  /** How many sessions have neither expired nor been revoked. */
  open: number;
  /** When one of the stored sessions was last used; it may lag by up to five minutes. */
  lastSeenAt: Date | null;
}

const accountFields = {
  ...userSchema.shape,
  state: z.enum(USER_STATES),
  suspension: z
    .strictObject({ reason: z.string(), until: timestampOut.nullable() })
    .nullable()
    .meta({ description: 'Null unless the user is currently suspended.' }),
  ban: z.strictObject({ reason: z.string(), bannedAt: timestampOut }).nullable(),
  updatedAt: timestampOut,
};

/** An account as exports contain it. */
export const accountSchema = z.strictObject(accountFields).meta({ id: 'Account' });
export type Account = z.output<typeof accountSchema>;

/** A user as administrators see them. */
export const adminUserSchema = z
  .strictObject({
    ...accountFields,
    sessions: z.number().int().meta({ description: 'The number of active sessions.' }),
    lastSeenAt: timestampOut.nullable().meta({
      description:
        'When the last connection ended or a session was last used, whichever is later; accurate to five minutes.',
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
