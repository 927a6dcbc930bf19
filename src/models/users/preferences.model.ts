import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { timestampOut } from '../kernel/common.model';

export const NOTIFICATION_LEVELS = ['all', 'mentions', 'none'] as const;
export type NotificationLevel = (typeof NOTIFICATION_LEVELS)[number];

/** Who may take a user into groups, and into conversations of several, without asking them first. */
export const GROUP_ADDITIONS = ['anyone', 'invite_only'] as const;
export type GroupAdditions = (typeof GROUP_ADDITIONS)[number];

/** The most that a client may keep in `extras`, in bytes of JSON. */
export const MAX_EXTRAS_BYTES = 8192;
const MAX_EXTRAS_DEPTH = 20;

/** How a user wants to have it. What was never set is missing. */
export interface PreferencesDocument {
  /** The user's id. */
  _id: ObjectId;
  notificationLevel?: NotificationLevel;
  doNotDisturbUntil?: Date | null;
  sendReadReceipts?: boolean;
  invisible?: boolean;
  groupAdditions?: GroupAdditions;
  locale?: string;
  /** As JSON: its keys are the client's business, and some would mean something to the database. */
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
  // One that is too deep would be more than JSON.stringify can take.
  .refine(
    (value) =>
      depthOf(value) > MAX_EXTRAS_DEPTH || Buffer.byteLength(JSON.stringify(value)) <= MAX_EXTRAS_BYTES,
    `must be at most ${MAX_EXTRAS_BYTES} bytes of JSON`,
  )
  .meta({ description: "The client's own: whatever it wants to find on the user's other devices." });

export const updatePreferencesInput = z
  .strictObject({
    notificationLevel: z.enum(NOTIFICATION_LEVELS).optional(),
    doNotDisturbUntil: z.iso.datetime().nullable().optional(),
    sendReadReceipts: z.boolean().optional(),
    invisible: z.boolean().optional(),
    groupAdditions: z.enum(GROUP_ADDITIONS).optional(),
    locale: locale.optional(),
    extras: extras.optional().meta({ description: 'Takes the place of the `extras` before.' }),
  })
  .refine((input) => Object.values(input).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'UpdatePreferencesInput' });
export type UpdatePreferencesInput = z.output<typeof updatePreferencesInput>;

export const preferencesSchema = z
  .strictObject({
    notificationLevel: z
      .enum(NOTIFICATION_LEVELS)
      .meta({ description: 'What to be told of where nothing else is set.' }),
    doNotDisturbUntil: timestampOut
      .nullable()
      .meta({ description: 'Null when it has not been set, or is over.' }),
    sendReadReceipts: z.boolean().meta({ description: 'Whether others see what the user has read.' }),
    invisible: z.boolean().meta({ description: 'Whether others see the user as offline.' }),
    groupAdditions: z.enum(GROUP_ADDITIONS).meta({
      description:
        'Whether others may take the user into groups and into conversations of several without asking: `anyone` ' +
        'who may add members there, or nobody, who have to invite them instead. People whom the user has blocked ' +
        'never may.',
    }),
    locale: z.string(),
    extras: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Preferences' });
export type Preferences = z.output<typeof preferencesSchema>;
export const preferencesReply = z.strictObject({ preferences: preferencesSchema });

/** @param document null when the user has never set anything. */
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

/** How deep a JSON value is nested, looked at one level at a time. */
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
