import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/** The bytes of a page that are read, as received and as decompressed. What comes after them is left out. */
const MAX_BYTES = 1024 * 1024;
/** The bytes that are received for them, with what the transfer adds: a body may come in chunks of one byte. */
const MAX_RECEIVED = 2 * MAX_BYTES;
/** The beginning of a page that may name its encoding, in bytes. */
const DECLARATION = 4096;

type Decompress = () => Transform;

/** The page may have been cut off, so its end need not be one. */
const zlibOptions = { finishFlush: constants.Z_SYNC_FLUSH };
const brotliOptions = { finishFlush: constants.BROTLI_OPERATION_FLUSH };
const DECOMPRESS = new Map<string, Decompress | undefined>([
  ['identity', undefined],
  ['gzip', () => createGunzip(zlibOptions)],
  ['x-gzip', () => createGunzip(zlibOptions)],
  ['deflate', () => createInflate(zlibOptions)],
  ['br', () => createBrotliDecompress(brotliOptions)],
]);

/** Whether a page with this Content-Encoding can be read. */
export function isKnownEncoding(encoding: string): boolean {
  return DECOMPRESS.has(nameOf(encoding));
}

/**
 * Reads the text of a page, up to its bounds.
 * @throws the error of the connection, or of zlib when the content is damaged
 */
export async function readBody(response: IncomingMessage): Promise<string> {
  const { headers } = response;
  const decompress = DECOMPRESS.get(nameOf(headers['content-encoding'] ?? 'identity'));
  const received = await receive(response);
  return decode(decompress ? await unpack(received, decompress()) : received, headers['content-type'] ?? '');
}

async function receive(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_BYTES || response.socket.bytesRead >= MAX_RECEIVED) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BYTES);
}

/** Decompresses in one piece: many small ones would each take a job of libuv's thread pool. */
async function unpack(packed: Buffer, stream: Transform): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.end(packed);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BYTES);
}

function decode(bytes: Buffer, contentType: string): string {
  const inHeader = /charset=["']?([\w-]+)/i.exec(contentType)?.[1];
  const inPage = /<meta[^<>]+charset=["']?([\w-]+)/i.exec(bytes.toString('latin1', 0, DECLARATION))?.[1];
  try {
    return new TextDecoder(inHeader ?? inPage ?? 'utf-8').decode(bytes);
  } catch {
    // An encoding that nobody knows.
    return new TextDecoder().decode(bytes);
  }
}

function nameOf(encoding: string): string {
  return encoding.trim().toLowerCase();
}
