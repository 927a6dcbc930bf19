import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/** The maximum size of a page, as received and as decompressed; the rest is discarded. */
const MAX_BYTES = 1024 * 1024;
/** The maximum size of a transfer, with its overhead: a body may come in chunks of one byte. */
const MAX_RECEIVED_BYTES = 2 * MAX_BYTES;
/** The number of bytes in which a page may declare its character encoding. */
const DECLARATION_BYTES = 4096;

type Decompress = () => Transform;

/** The page may have been truncated, so an incomplete stream is no error. */
const zlibOptions = { finishFlush: constants.Z_SYNC_FLUSH };
const brotliOptions = { finishFlush: constants.BROTLI_OPERATION_FLUSH };
const DECOMPRESS = new Map<string, Decompress | undefined>([
  ['identity', undefined],
  ['gzip', () => createGunzip(zlibOptions)],
  ['x-gzip', () => createGunzip(zlibOptions)],
  ['deflate', () => createInflate(zlibOptions)],
  ['br', () => createBrotliDecompress(brotliOptions)],
]);

/** Whether a page with this Content-Encoding can be decompressed. */
export function isKnownEncoding(encoding: string): boolean {
  return DECOMPRESS.has(nameOf(encoding));
}

/**
 * Reads the text of a page, up to MAX_BYTES.
 * @throws an error of the connection, or of zlib if the content is corrupt
 */
export async function readBody(response: IncomingMessage): Promise<string> {
  const { headers } = response;
  const decompress = DECOMPRESS.get(nameOf(headers['content-encoding'] ?? 'identity'));
  const received = await receive(response);
  return decode(
    decompress ? await decompressAll(received, decompress()) : received,
    headers['content-type'] ?? '',
  );
}

async function receive(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_BYTES || response.socket.bytesRead >= MAX_RECEIVED_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BYTES);
}

/** Decompresses the body in one piece: each chunk would occupy libuv's thread pool separately. */
async function decompressAll(compressed: Buffer, stream: Transform): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.end(compressed);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BYTES);
}

function decode(bytes: Buffer, contentType: string): string {
  const inHeader = /charset=["']?([\w-]+)/i.exec(contentType)?.[1];
  const inPage = /<meta[^<>]+charset=["']?([\w-]+)/i.exec(
    bytes.toString('latin1', 0, DECLARATION_BYTES),
  )?.[1];
  try {
    return new TextDecoder(inHeader ?? inPage ?? 'utf-8').decode(bytes);
  } catch {
    // An unknown character encoding.
    return new TextDecoder().decode(bytes);
  }
}

function nameOf(encoding: string): string {
  return encoding.trim().toLowerCase();
}
