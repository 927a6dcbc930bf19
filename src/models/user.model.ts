import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { withAsciiDomain } from '../utils/name-keys';
import type { EncryptedValue } from '../utils/encryption';
import { avatarUrl, avatarUrlOut } from './files/avatar.model';
import {
  idOut,
  idSchema,
  singleLineText,
  nextCursorOut,
  pageQuery,
  timestampOut,
  visibleName,
} from './kernel/common.model';

export const GLOBAL_ROLES = ['super_admin', 'group_admin', 'client'] as const;
export type GlobalRole = (typeof GLOBAL_ROLES)[number];

/**
 * A `deactivated` user becomes active with the next log-in. A `banned` user keeps the username and the address, so that
 * neither can be registered again. A `deleted` user remains only as the name of the author of their messages.
 */
export const USER_STATES = ['active', 'suspended', 'banned', 'deactivated', 'deleted'] as const;
export type UserState = (typeof USER_STATES)[number];

export interface UserDocument {
  _id: ObjectId;
  username: string;
  /** The canonical key of the username, unique. Log-in, mentions and search use it. Missing if the user is deleted. */
  searchName?: string;
  /** The look-alike keys of the username, each unique. Missing if the user is deleted. */
  nameLookalikes?: string[];
  /** The canonical key of `email`, unique. Missing if `email` is missing. */
  emailKey?: string;
  /** Missing until it is verified (if mail is configured), and if the user is deleted. */
  email?: string;
  /** The address given at registration, until its owner confirms it. Several accounts may have the same one. */
  pendingEmail?: string;
  /** The new address of the account, which replaces `email` when its owner confirms it. */
  emailChange?: { email: string; requestedAt: Date };
  emailVerifiedAt: Date | null;
  displayName: string;
  /** The canonical key of the display name. Missing if the user is deleted, like its look-alike keys. */
  displayKey?: string;
  displayLookalikes?: string[];
  /** The search key of the display name. */
  displaySearch?: string;
  bio: string;
  statusText: string;
  /** 32 hexadecimal digits, which change with each upload. Missing without an avatar. */
  avatarId?: string;
  /** An IANA name such as Europe/Lisbon. */
  timeZone: string;
  /** Missing if the user is deleted. */
  passwordHash?: string;
  role: GlobalRole;
  state: UserState;
  suspension: { reason: string; until: Date | null } | null;
  /** Missing unless the user is banned. */
  ban?: { reason: string; bannedAt: Date };
  totp: TotpState | null;
  /** When the user was last visible to others as online. Missing until then, and if the user is deleted. */
  lastSeenAt?: Date;
  createdAt: Date;
  updatedAt: Date;
}

/** What of an account others see, and what toPublicUser needs. */
export type PublicFields = Pick<
  UserDocument,
  '_id' | 'username' | 'displayName' | 'bio' | 'statusText' | 'avatarId' | 'timeZone' | 'state' | 'createdAt'
>;

/**
 * The fields of an account that others may see. Events carry this in place of the document, whose secrets must not
 * reach other nodes; the types refuse a whole document.
 */
export type PersonRecord = PublicFields & { passwordHash?: never };

/** bcrypt uses only the first 72 bytes of a password, so longer ones are refused. */
export const MAX_PASSWORD_BYTES = 72;

/** The second factor of an account. */
export interface TotpState {
  /** In Base32, as authenticator apps expect; encrypted for this user. */
  secret: EncryptedValue;
  /** Null until the user has entered a first code. */
  enabledAt: Date | null;
  /** The time step of the last accepted code: each code is accepted once. */
  lastStep: number;
  /** The SHA-256 hashes of the unused recovery codes. */
  recoveryHashes: string[];
}

const username = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{1,30}[A-Za-z0-9]$/,
    'must be 3 to 32 letters, digits, dots, dashes or underscores, and start and end with a letter or digit',
  )
  // A deleted account gets such a name. Somebody who already had it could prevent the deletion.
  .refine((name) => !/^deleted-/i.test(name), 'must not start with deleted-')
  .refine((name) => !/^(channel|here)$/i.test(name), 'must not be channel or here, which mention everybody');

export const newPassword = z
  .string()
  .min(10, 'must have at least 10 characters')
  .refine(
    (text) => Buffer.byteLength(text) <= MAX_PASSWORD_BYTES,
    `must have at most ${MAX_PASSWORD_BYTES} bytes`,
  )
  .refine((text) => !text.includes('\0'), 'must not contain NUL characters');

/** A password to be verified. It need not fulfil the rules for new passwords. */
export const presentedPassword = z.string().min(1).max(1024);

export const secondFactor = z
  .string()
  .min(6)
  .max(32)
  .meta({ description: 'A six-digit code of the authenticator app, or a recovery code.' });

/** An e-mail address in its stored form, with the domain in ASCII as mail servers expect it. */
const emailAddress = z
  .string()
  .max(254)
  .transform((address) => withAsciiDomain(address.trim()))
  .pipe(z.email().max(254))
  .meta({ type: 'string', format: 'email', maxLength: 254 });

const timeZone = z.string().refine(isTimeZone, 'must be an IANA time zone such as Europe/Lisbon');

export const registerInput = z
  .strictObject({
    username,
    email: emailAddress,
    password: newPassword,
    displayName: visibleName(80).optional(),
  })
  .meta({ id: 'RegisterInput' });
export type RegisterInput = z.output<typeof registerInput>;

export const loginInput = z
  .strictObject({
    identifier: z.string().min(1).max(254).meta({ description: 'The username or e-mail address.' }),
    password: presentedPassword,
    code: secondFactor.optional(),
  })
  .meta({ id: 'LoginInput' });
export type LoginInput = z.output<typeof loginInput>;

export const updateProfileInput = z
  .strictObject({
    displayName: visibleName(80).optional(),
    bio: singleLineText(0, 500).optional(),
    statusText: singleLineText(0, 100).optional(),
    timeZone: timeZone.optional(),
  })
  .refine((input) => Object.values(input).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'UpdateProfileInput' });
export type UpdateProfileInput = z.output<typeof updateProfileInput>;

/** The credentials that sensitive operations ask for again. */
const proofFields = { password: presentedPassword, code: secondFactor.optional() };
export const proofInput = z.strictObject(proofFields).meta({ id: 'ProofInput' });
export type Proof = z.output<typeof proofInput>;

export const changePasswordInput = z
  .strictObject({ ...proofFields, newPassword })
  .meta({ id: 'ChangePasswordInput' });
export type ChangePasswordInput = z.output<typeof changePasswordInput>;

export const changeEmailInput = z
  .strictObject({ ...proofFields, email: emailAddress })
  .meta({ id: 'ChangeEmailInput' });
export type ChangeEmailInput = z.output<typeof changeEmailInput>;

export const forgotPasswordInput = z
  .strictObject({ email: emailAddress })
  .meta({ id: 'ForgotPasswordInput' });
export type ForgotPasswordInput = z.output<typeof forgotPasswordInput>;

const oneTimeToken = z.string().min(1).max(256);
export const verifyEmailInput = z.strictObject({ token: oneTimeToken }).meta({ id: 'VerifyEmailInput' });
export type VerifyEmailInput = z.output<typeof verifyEmailInput>;
export const stopEmailChangeInput = z
  .strictObject({ token: oneTimeToken })
  .meta({ id: 'StopEmailChangeInput' });
export type StopEmailChangeInput = z.output<typeof stopEmailChangeInput>;
export const resetPasswordInput = z
  .strictObject({ token: oneTimeToken, newPassword })
  .meta({ id: 'ResetPasswordInput' });
export type ResetPasswordInput = z.output<typeof resetPasswordInput>;

export const totpCodeInput = z.strictObject({ code: secondFactor }).meta({ id: 'TotpCodeInput' });
export type TotpCodeInput = z.output<typeof totpCodeInput>;

export const userSearchQuery = pageQuery.extend({
  query: singleLineText(1, 80),
  /** The name of the last user of the page, so that the next page works if that user is deleted. */
  cursor: z
    .string()
    .regex(/^[a-z0-9._-]{3,32}$/, 'must be the `nextCursor` of the previous page')
    .optional()
    .meta({ description: 'The `nextCursor` of the previous page.' }),
});
export type UserSearchQuery = z.output<typeof userSearchQuery>;

const publicUserFields = {
  id: idOut,
  username: z.string(),
  displayName: z.string(),
  bio: z.string(),
  statusText: z.string(),
  timeZone: z.string(),
  avatarUrl: avatarUrlOut,
  deleted: z.boolean(),
  deactivated: z.boolean().meta({
    description:
      'Whether the account is deactivated until its owner logs in again. Until then, only its names are visible.',
  }),
  createdAt: timestampOut,
};

/** A user as others see them. */
export const publicUserSchema = z.strictObject(publicUserFields).meta({ id: 'PublicUser' });
export type PublicUser = z.output<typeof publicUserSchema>;

/** A user as they see themselves. */
export const userSchema = z
  .strictObject({
    ...publicUserFields,
    email: z
      .string()
      .meta({ description: 'The e-mail address; `emailVerified` says whether it is confirmed.' }),
    emailVerified: z.boolean(),
    pendingEmail: z.string().nullable().meta({
      description:
        'The address that becomes the verified `email` when its owner confirms it; null if there is none.',
    }),
    role: z.enum(GLOBAL_ROLES),
    totpEnabled: z.boolean(),
  })
  .meta({ id: 'User' });
export type User = z.output<typeof userSchema>;

export const userParams = z.strictObject({ userId: idSchema });
export type UserParams = z.output<typeof userParams>;
export const publicUsersReply = z.strictObject({
  users: z.array(publicUserSchema),
  nextCursor: nextCursorOut,
});
export const totpSetupReply = z.strictObject({
  secret: z.string().meta({ description: 'The secret in Base32, for manual entry.' }),
  otpauthUrl: z.string(),
  qrCode: z.string().meta({ description: 'The `otpauthUrl` as a QR code, a PNG image in a data URL.' }),
});
export const recoveryCodesReply = z.strictObject({
  recoveryCodes: z
    .array(z.string())
    .meta({ description: 'Each code can be used once. They are shown only in this answer.' }),
});
export const publicUserReply = z.strictObject({ user: publicUserSchema });
export const userReply = z.strictObject({ user: userSchema });

export const credentialsReply = z
  .strictObject({
    user: userSchema,
    accessToken: z
      .string()
      .meta({ description: 'A short-lived token, to be sent as `Authorization: Bearer …`.' }),
    refreshToken: z.string().meta({ description: 'Can be exchanged once for a new pair of tokens.' }),
  })
  .meta({ id: 'Credentials' });
export type Credentials = z.output<typeof credentialsReply>;

export function toPersonRecord(user: UserDocument): PersonRecord {
  const { _id, username, displayName, bio, statusText, avatarId, timeZone, state, createdAt } = user;
  return {
    _id,
    username,
    displayName,
    bio,
    statusText,
    ...(avatarId !== undefined && { avatarId }),
    timeZone,
    state,
    createdAt,
  };
}

/**
 * Returns a user as others see them. Of a deactivated account only the names are visible, with its messages and in
 * lists of members.
 */
export function toPublicUser(user: PublicFields): PublicUser {
  const profile = toProfile(user);
  if (!profile.deactivated) return profile;
  return { ...profile, bio: '', statusText: '', timeZone: 'UTC', avatarUrl: null };
}

function toProfile(user: PublicFields): PublicUser {
  return {
    id: user._id.toHexString(),
    username: user.username,
    displayName: user.displayName,
    bio: user.bio,
    statusText: user.statusText,
    timeZone: user.timeZone,
    avatarUrl: avatarUrl(user.avatarId),
    deleted: user.state === 'deleted',
    deactivated: user.state === 'deactivated',
    createdAt: user.createdAt.toISOString(),
  };
}

export function toUser(user: UserDocument): User {
  return {
    ...toProfile(user),
    email: user.email ?? user.pendingEmail ?? '',
    emailVerified: user.email !== undefined && user.emailVerifiedAt !== null,
    pendingEmail: user.emailChange?.email ?? user.pendingEmail ?? null,
    role: user.role,
    totpEnabled: user.totp !== null && user.totp.enabledAt !== null,
  };
}

/** Returns the current state of an account: a suspension expires without a write. */
export function stateOf({ state, suspension }: Pick<UserDocument, 'state' | 'suspension'>): UserState {
  const isOver = state === 'suspended' && suspension?.until && suspension.until <= new Date();
  return isOver ? 'active' : state;
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
