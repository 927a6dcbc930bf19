import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { timestampOut } from '../kernel/common.model';

export const NOTIFICATION_LEVELS = ['all', 'mentions', 'none'] as const;
export type NotificationLevel = (typeof NOTIFICATION_LEVELS)[number];

/** Who may add a user to groups and group conversations without an invite. */
export const GROUP_ADDITIONS = ['anyone', 'invite_only'] as const;
export type GroupAdditions = (typeof GROUP_ADDITIONS)[number];

/** The maximum size of `extras`, in bytes of JSON. */
export const MAX_EXTRAS_BYTES = 8192;
const MAX_EXTRAS_DEPTH = 20;

/** The preferences of a user. Those that were never set are missing. */
export interface PreferencesDocument {
  /** The user's id. */
  _id: ObjectId;
  notificationLevel?: NotificationLevel;
  doNotDisturbUntil?: Date | null;
  sendReadReceipts?: boolean;
  invisible?: boolean;
  groupAdditions?: GroupAdditions;
  locale?: string;
  /** As JSON, because clients choose the keys, and some keys would have a meaning in the database. */
  extras?: string;
  updatedAt: Date;
}

const locale = z
  .string()
  .max(35)
  .refine(isLocale, 'must be a language tag such as pt-BR')
  .meta({ description: 'A BCP 47 language tag.', example: 'pt-BR' });

const extras = z
  .record(z.string(), z.unknown())
  .refine((value) => depthOf(value) <= MAX_EXTRAS_DEPTH, `must be nested at most ${MAX_EXTRAS_DEPTH} deep`)
  // JSON.stringify would fail on a value that is nested too deep.
  .refine(
    (value) =>
      depthOf(value) > MAX_EXTRAS_DEPTH || Buffer.byteLength(JSON.stringify(value)) <= MAX_EXTRAS_BYTES,
    `must be at most ${MAX_EXTRAS_BYTES} bytes of JSON`,
  )
  .meta({ description: "Data of the client, which it can read on the user's other devices." });

export const updatePreferencesInput = z
  .strictObject({
    notificationLevel: z.enum(NOTIFICATION_LEVELS).optional(),
    doNotDisturbUntil: z.iso.datetime().nullable().optional(),
    sendReadReceipts: z.boolean().optional(),
    invisible: z.boolean().optional(),
    groupAdditions: z.enum(GROUP_ADDITIONS).optional(),
    locale: locale.optional(),
    extras: extras.optional().meta({ description: 'Replaces the previous `extras`.' }),
  })
  .refine((input) => Object.values(input).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'UpdatePreferencesInput' });
export type UpdatePreferencesInput = z.output<typeof updatePreferencesInput>;

export const preferencesSchema = z
  .strictObject({
    notificationLevel: z
      .enum(NOTIFICATION_LEVELS)
      .meta({ description: 'Which messages notify the user in channels without a setting of their own.' }),
    doNotDisturbUntil: timestampOut.nullable().meta({ description: 'Null if it is not set or has passed.' }),
    sendReadReceipts: z.boolean().meta({ description: 'Whether others can see what the user has read.' }),
    invisible: z.boolean().meta({ description: 'Whether the user appears offline to others.' }),
    groupAdditions: z.enum(GROUP_ADDITIONS).meta({
      description:
        'Who may add the user to groups and to conversations of several people without an invite: `anyone` with ' +
        'permission to add members, or nobody (`invite_only`). Users whom this user has blocked never may.',
    }),
    locale: z.string(),
    extras: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Preferences' });
export type Preferences = z.output<typeof preferencesSchema>;
export const preferencesReply = z.strictObject({ preferences: preferencesSchema });

/** Returns the preferences with defaults for what is not set. @param document null if the user never set any */
export function toPreferences(document: PreferencesDocument | null): Preferences {
  const until = document?.doNotDisturbUntil;
  return {
    notificationLevel: document?.notificationLevel ?? 'all',
    doNotDisturbUntil: until && until > new Date() ? until.toISOString() : null,
    sendReadReceipts: document?.sendReadReceipts ?? true,
    invisible: document?.invisible ?? false,
    groupAdditions: document?.groupAdditions ?? 'anyone',
    locale: document?.locale ?? 'en',
    extras: JSON.parse(document?.extras ?? '{}') as Preferences['extras'],
  };
}

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false;
  }
}

/** Returns the nesting depth of a JSON value. It does not recurse, so it cannot overflow the stack. */
function depthOf(value: unknown): number {
  let depth = 0;
  let level: unknown[] = [value];
  while (level.length > 0 && depth <= MAX_EXTRAS_DEPTH) {
    depth++;
    level = level.flatMap((each) =>
      typeof each === 'object' && each !== null ? (Object.values(each) as unknown[]) : [],
    );
  }
  return depth;
}
