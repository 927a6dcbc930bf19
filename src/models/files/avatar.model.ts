import { z } from 'zod';
import type { UploadSpec } from './upload.model';

/** The sizes in which an avatar is stored: width and height in pixels. */
export const AVATAR_SIZES = [512, 128] as const;
export type AvatarSize = (typeof AVATAR_SIZES)[number];

/** The path under which avatars are served. */
export const AVATARS_PATH = '/uploads/avatars';

export const avatarUpload: UploadSpec = {
  field: 'avatar',
  maxBytes: 5 * 1024 * 1024,
  mediaTypes: ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/avif'],
};

export const avatarParams = z.strictObject({
  name: z
    .string()
    .regex(/^[0-9a-f]{32}\.webp$/, 'must be the file name of an avatar')
    .meta({
      description: 'The last segment of an `avatarUrl`.',
      example: `${'0123456789abcdef'.repeat(2)}.webp`,
    }),
});
export type AvatarParams = z.output<typeof avatarParams>;

export const avatarQuery = z.strictObject({
  size: z
    .enum(['512', '128'], 'must be 512 or 128')
    .default('512')
    .transform((text): AvatarSize => (text === '128' ? 128 : 512))
    .meta({ description: 'The width and height in pixels.' }),
});
export type AvatarQuery = z.output<typeof avatarQuery>;

/** The URL of an avatar in an answer. */
export const avatarUrlOut = z
  .string()
  .nullable()
  .meta({
    description:
      'The URL of a square WebP image of 512 pixels, or of 128 pixels with `?size=128`; null without an avatar. Each new avatar has a new URL.',
    example: `${AVATARS_PATH}/${'0123456789abcdef'.repeat(2)}.webp`,
  });

/** Returns the path of an avatar, or null without one. @param avatarId 32 hexadecimal digits */
export function avatarUrl(avatarId: string | undefined): string | null {
  return avatarId === undefined ? null : `${AVATARS_PATH}/${avatarId}.webp`;
}
