import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, lineOfText, timeOut } from './common.model';

export const GLOBAL_ROLES = ['super_admin', 'group_admin', 'client'] as const;
export type GlobalRole = (typeof GLOBAL_ROLES)[number];

export interface UserDocument {
  _id: ObjectId;
  /** Unique without regard to case, as is `email`. */
  username: string;
  email: string;
  displayName: string;
  passwordHash: string;
  role: GlobalRole;
  createdAt: Date;
  updatedAt: Date;
}

/** bcrypt reads 72 bytes of a password and no more; longer ones are refused rather than cut. */
const MAX_PASSWORD_BYTES = 72;

const username = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{1,30}[A-Za-z0-9]$/,
    'must be 3 to 32 letters, digits, dots, dashes or underscores, and start and end with a letter or digit',
  );

const newPassword = z
  .string()
  .min(10, 'must have at least 10 characters')
  .refine(
    (text) => Buffer.byteLength(text) <= MAX_PASSWORD_BYTES,
    `must have at most ${MAX_PASSWORD_BYTES} bytes`,
  )
  .refine((text) => !text.includes('\0'), 'must not contain NUL characters');

export const registerInput = z
  .strictObject({
    username,
    email: z.email().max(254),
    password: newPassword,
    displayName: lineOfText(1, 80).optional(),
  })
  .meta({ id: 'RegisterInput' });
export type RegisterInput = z.output<typeof registerInput>;

export const loginInput = z
  .strictObject({
    identifier: z.string().min(1).max(254).meta({ description: 'The username or the e-mail address.' }),
    password: z.string().min(1).max(1024),
  })
  .meta({ id: 'LoginInput' });
export type LoginInput = z.output<typeof loginInput>;

const publicUserFields = {
  id: idOut,
  username: z.string(),
  displayName: z.string(),
  createdAt: timeOut,
};

/** A user as others see them. */
export const publicUserSchema = z.strictObject(publicUserFields).meta({ id: 'PublicUser' });
export type PublicUser = z.output<typeof publicUserSchema>;

/** A user as they see themselves. */
export const userSchema = z
  .strictObject({ ...publicUserFields, email: z.string(), role: z.enum(GLOBAL_ROLES) })
  .meta({ id: 'User' });
export type User = z.output<typeof userSchema>;

export const userParams = z.strictObject({ userId: idSchema });
export const publicUserReply = z.strictObject({ user: publicUserSchema });
export const userReply = z.strictObject({ user: userSchema });

export const credentialsReply = z
  .strictObject({
    user: userSchema,
    accessToken: z.string().meta({ description: 'Sent as `Authorization: Bearer …`; short-lived.' }),
    refreshToken: z.string().meta({ description: 'Buys one new pair of tokens, once.' }),
  })
  .meta({ id: 'Credentials' });
export type Credentials = z.output<typeof credentialsReply>;

export function toPublicUser(user: UserDocument): PublicUser {
  return {
    id: user._id.toHexString(),
    username: user.username,
    displayName: user.displayName,
    createdAt: user.createdAt.toISOString(),
  };
}

export function toUser(user: UserDocument): User {
  return { ...toPublicUser(user), email: user.email, role: user.role };
}
