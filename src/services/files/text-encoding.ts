import type { FileHandle } from 'node:fs/promises';

/** The encodings that count as text. UTF-16 must begin with a byte order mark. */
export type TextEncoding = 'utf-8' | 'utf-16';

/** How much of a file is read at a time. */
const CHUNK_BYTES = 64 * 1024;
/** Allowed because log files use it for colours. */
const ESCAPE = '\u001b';

/**
 * Returns the encoding of a file that is text from beginning to end, without control characters that do not occur in text.
 * @returns undefined for a file that is not text.
 */
export async function textEncodingOf(file: FileHandle): Promise<TextEncoding | undefined> {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(2), position: 0 });
  const mark = bytesRead === 2 ? buffer.readUInt16BE() : 0;
  const label = mark === 0xfffe ? 'utf-16le' : mark === 0xfeff ? 'utf-16be' : 'utf-8';
  if (!(await isText(file, label))) return undefined;
  return label === 'utf-8' ? 'utf-8' : 'utf-16';
}

async function isText(file: FileHandle, label: string): Promise<boolean> {
  const decoder = new TextDecoder(label, { fatal: true });
  const buffer = Buffer.alloc(CHUNK_BYTES);
  try {
    for (let position = 0; ;) {
      const { bytesRead } = await file.read({ buffer, position });
      if (bytesRead === 0) return !hasForeignControl(decoder.decode());
      const text = decoder.decode(buffer.subarray(0, bytesRead), { stream: true });
      if (hasForeignControl(text)) return false;
      position += bytesRead;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return false;
    throw error;
  }
}

function hasForeignControl(text: string): boolean {
  return /(?![\t\n\f\r])\p{Cc}/u.test(text.replaceAll(ESCAPE, ''));
}
