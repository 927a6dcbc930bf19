import { readFile } from 'node:fs/promises';
import type { ObjectId } from 'mongodb';
import sharp, { type FormatEnum, type Sharp } from 'sharp';
import { AppError } from '../../utils/errors';
import { FairQueue } from '../kernel/fair-queue';

/** The loaders that may read uploaded images: none that follows links or renders text. */
const ALLOWED_LOADERS = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif'].map(
  (name) => `VipsForeignLoad${name}Buffer`,
);

/** The largest width times height. Decoded, an image of this size takes 200 MB. */
const MAX_PIXELS = 50_000_000;
/**
 * How many images are processed at the same time and how many wait, in all and of one user. Each occupies one thread of
 * libuv's pool, so the other threads remain free for files, and one user never occupies both.
 */
const QUEUE_LIMITS = { active: 2, activePerKey: 1, waiting: 64, waitingPerKey: 20 };
const TIMEOUT_SECONDS = 20;
const THUMBNAIL_QUALITY = 82;
/** The quality of images in full size. */
const FULL_SIZE_QUALITY = 90;
/** The maximum width and height of a thumbnail in pixels. */
const THUMBNAIL_SIZE = 480;

sharp.cache(false);
sharp.concurrency(1);
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({ operation: ALLOWED_LOADERS });

/** A re-encoded image and its thumbnail, which is a WebP image. */
export interface ReencodedImage {
  content: Buffer;
  /** An AVIF image becomes a WebP image: encoding AVIF takes seconds per megapixel. */
  mediaType: string;
  width: number;
  height: number;
  thumbnail: Buffer;
}

/** Re-encodes uploaded images, so that the results contain the pixels and nothing else of the originals. */
export class ImageProcessor {
  readonly queue = new FairQueue(QUEUE_LIMITS);

  /**
   * Creates square WebP images of a JPEG, PNG, WebP, GIF (its first frame) or AVIF file: upright, cropped to the centre,
   * without metadata.
   * @param path the path of a file that is small enough to hold in memory.
   * @param sizes the widths in pixels.
   * @param userId the owner of the file.
   * @returns one image for each size.
   * @throws AppError unsupported_media_type, image_too_large, image_invalid, rate_limited, unavailable
   */
  createSquares(path: string, sizes: readonly number[], userId: ObjectId): Promise<Buffer[]> {
    return this.queue.run(userId.toHexString(), async () => {
      const source = await readFile(path);
      const largest = Math.max(...sizes);
      try {
        await requireKnownFormat(source);
        const { data, info } = await sharp(source, { limitInputPixels: MAX_PIXELS, failOn: 'error' })
          .autoOrient()
          .resize(largest, largest, { fit: 'cover' })
          .timeout({ seconds: TIMEOUT_SECONDS })
          .raw()
          .toBuffer({ resolveWithObject: true });
        const raw = { width: info.width, height: info.height, channels: info.channels };
        const images: Buffer[] = [];
        for (const size of sizes) {
          const image = sharp(data, { raw }).resize(size, size).webp({ quality: THUMBNAIL_QUALITY });
          images.push(await image.toBuffer());
        }
        return images;
      } catch (error) {
        throw toImageError(error);
      }
    });
  }

  /**
   * Re-encodes an image in its own format (AVIF as WebP): upright, with all frames of an animation, without metadata.
   * @param path the path of a file that is small enough to hold in memory.
   * @param userId the owner of the file.
   * @throws AppError unsupported_media_type, image_too_large, image_invalid, rate_limited, unavailable
   */
  reencode(path: string, userId: ObjectId): Promise<ReencodedImage> {
    return this.queue.run(userId.toHexString(), async () => {
      const source = await readFile(path);
      try {
        const format = await requireKnownFormat(source);
        const options = { limitInputPixels: MAX_PIXELS, failOn: 'error' } as const;
        const whole = sharp(source, { ...options, animated: true }).autoOrient();
        const { data, info } = await encodedAs(whole, format)
          .timeout({ seconds: TIMEOUT_SECONDS })
          .toBuffer({ resolveWithObject: true });
        const thumbnail = await sharp(source, options)
          .autoOrient()
          .resize(THUMBNAIL_SIZE, THUMBNAIL_SIZE, { fit: 'inside', withoutEnlargement: true })
          .webp({ quality: THUMBNAIL_QUALITY })
          .timeout({ seconds: TIMEOUT_SECONDS })
          .toBuffer();
        return {
          content: data,
          mediaType: `image/${info.format}`,
          width: info.width,
          height: info.pageHeight ?? info.height,
          thumbnail,
        };
      } catch (error) {
        throw toImageError(error);
      }
    });
  }
}

function encodedAs(image: Sharp, format: keyof FormatEnum | undefined): Sharp {
  if (format === 'jpeg') return image.jpeg({ quality: FULL_SIZE_QUALITY });
  if (format === 'png') return image.png();
  if (format === 'gif') return image.gif();
  return image.webp({ quality: FULL_SIZE_QUALITY });
}

async function requireKnownFormat(source: Buffer): Promise<keyof FormatEnum | undefined> {
  const { format, compression } = await sharp(source, { limitInputPixels: MAX_PIXELS }).metadata();
  // HEIF is AVIF when its compression is AV1.
  if (format === 'heif' && compression !== 'av1') throw unsupported();
  return format;
}

/** Translates errors of the library about an image that it cannot read. */
function toImageError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof AppError) return error;
  if (/unsupported image format/.test(error.message)) return unsupported();
  if (/exceeds pixel limit/.test(error.message)) {
    return new AppError('image_too_large', `The image has more than ${MAX_PIXELS / 1e6} million pixels.`);
  }
  return new AppError('image_invalid', 'The image is damaged.');
}

function unsupported(): AppError {
  return new AppError('unsupported_media_type', 'The file is not a JPEG, PNG, WebP, GIF or AVIF image.');
}
