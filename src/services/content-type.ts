import { createReadStream } from 'node:fs';
import { fileTypeFromFile } from 'file-type/node';
import { CATEGORIES, MEDIA_TYPES, TEXT, type ContentType } from '../models/attachment.model';

/** What the library calls by another name than browsers do. */
const RENAMED: Record<string, string> = {
  'audio/x-m4a': 'audio/mp4',
  'image/apng': 'image/png',
  'video/x-m4v': 'video/mp4',
};

/**
 * Tells by its content what a file is. What may not be uploaded as anything else is plain text if it is text, whatever
 * it says: HTML and SVG, and a note that begins as a picture does (`BM`).
 * @returns undefined for what may not be uploaded.
 */
export async function contentTypeOf(path: string): Promise<ContentType | undefined> {
  const found = (await fileTypeFromFile(path))?.mime.split(';')[0] ?? '';
  const mediaType = RENAMED[found] ?? found;
  const category = CATEGORIES.find((each) => MEDIA_TYPES[each].includes(mediaType));
  if (category) return { mediaType, category };
  return (await isText(path)) ? { mediaType: TEXT, category: 'file' } : undefined;
}

/** Whether a file is UTF-8 from end to end, without the control characters that no text has. */
async function isText(path: string): Promise<boolean> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for await (const chunk of createReadStream(path)) {
      if (hasForeignControl(decoder.decode(chunk as Buffer, { stream: true }))) return false;
    }
    return !hasForeignControl(decoder.decode());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return false;
    throw error;
  }
}

/** Colours in logs begin with it. */
const ESCAPE = '\u001b';

function hasForeignControl(text: string): boolean {
  return /(?![\t\n\f\r])\p{Cc}/u.test(text.replaceAll(ESCAPE, ''));
}
