import { fileTypeFromFile } from 'file-type/node';
import { open, type FileHandle } from 'node:fs/promises';
import { FILE_CATEGORIES, MEDIA_TYPES, TEXT, type ContentType } from '../../models/files/attachment.model';
import { hasAudioFrames, hasMovieBox } from './media-structure';
import { textEncodingOf } from './text-encoding';

/** Media types that the library and browsers name differently. */
const MEDIA_TYPE_ALIASES: Record<string, string> = {
  'audio/x-m4a': 'audio/mp4',
  'image/apng': 'image/png',
  'video/x-m4v': 'video/mp4',
};
/** Formats that are valid text, and how they begin. */
const TEXT_FORMATS = [
  { mediaType: 'application/pdf', beginning: /^%PDF-\d/ },
  { mediaType: 'application/rtf', beginning: /^\{\\rtf\d/ },
];

/**
 * Determines the type of a file by its content. A file that is text from beginning to end counts as plain text, whatever
 * it contains: HTML, SVG, or a note that begins like a binary format. Audio and video files that the library recognises
 * by only a few bytes must also have the structure of their format.
 * @returns undefined for types that may not be uploaded.
 */
export async function contentTypeOf(path: string): Promise<ContentType | undefined> {
  const file = await open(path);
  try {
    const encoding = await textEncodingOf(file);
    if (encoding === 'utf-8') return { mediaType: await typeOfText(file), category: 'file' };
    if (encoding === 'utf-16') return { mediaType: TEXT, category: 'file', charset: encoding };
    return await typeOfBinary(file, path);
  } finally {
    await file.close();
  }
}

async function typeOfText(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(16), position: 0 });
  const start = buffer.toString('latin1', 0, bytesRead);
  return TEXT_FORMATS.find(({ beginning }) => beginning.test(start))?.mediaType ?? TEXT;
}

async function typeOfBinary(file: FileHandle, path: string): Promise<ContentType | undefined> {
  const found = await fileTypeFromFile(path);
  const name = found?.mime.split(';')[0] ?? '';
  const mediaType = MEDIA_TYPE_ALIASES[name] ?? name;
  const category = FILE_CATEGORIES.find((each) => MEDIA_TYPES[each].includes(mediaType));
  if (!category || !(await hasStructure(file, mediaType))) return undefined;
  return { mediaType, category };
}

/** Whether a file has the structure of its type; checked for types that the library recognises by less than four bytes, or by text. */
async function hasStructure(file: FileHandle, mediaType: string): Promise<boolean> {
  if (mediaType === 'audio/mpeg' || mediaType === 'audio/aac') return hasAudioFrames(file);
  if (mediaType !== 'video/quicktime') return true;
  const { buffer } = await file.read({ buffer: Buffer.alloc(8), position: 0 });
  return buffer.toString('latin1', 4) === 'ftyp' || hasMovieBox(file);
}
