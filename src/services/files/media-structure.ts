import type { FileHandle } from 'node:fs/promises';

/** How many audio frames must follow each other. A shorter file must consist of frames up to its end. */
const MIN_FRAMES = 3;
/** More than MIN_FRAMES frames of the greatest length, 8,191 bytes. */
const WINDOW_BYTES = 32 * 1024;
/** The most ID3 tags that may follow each other. */
const MAX_TAGS = 4;
const TAG_HEADER_BYTES = 10;
/** How many boxes of a QuickTime file are read to find the movie box. */
const MAX_BOXES = 64;

/** An audio frame: its length in bytes, and the properties that all frames of a file share. */
interface Frame {
  length: number;
  kind: string;
}
type ReadFrame = (bytes: Buffer, at: number) => Frame | undefined;

/**
 * Whether a file consists of frames of MPEG audio (layers I to III) or ADTS, after its ID3 tags if it has any. The twelve
 * bits that begin a frame also occur in other files, so several frames must follow each other.
 */
export async function hasAudioFrames(file: FileHandle): Promise<boolean> {
  const bytes = await readAt(file, await endOfTags(file), WINDOW_BYTES);
  return [mpegFrame, adtsFrame].some((read) => framesFollow(bytes, read));
}

/** Whether a QuickTime file without a file type box has a movie box. */
export async function hasMovieBox(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  let at = 0;
  for (let box = 0; box < MAX_BOXES && at + 8 <= size; box++) {
    const header = await readAt(file, at, 16);
    const name = header.toString('latin1', 4, 8);
    let length = header.readUInt32BE(0);
    if (length === 1) length = header.length === 16 ? Number(header.readBigUInt64BE(8)) : 0;
    if (!/^[\x20-\x7e]{4}$/.test(name) || length < 8 || at + length > size) return false;
    if (name === 'moov') return true;
    at += length;
  }
  return false;
}

async function endOfTags(file: FileHandle): Promise<number> {
  let at = 0;
  for (let tag = 0; tag < MAX_TAGS; tag++) {
    const header = await readAt(file, at, TAG_HEADER_BYTES);
    if (header.length < TAG_HEADER_BYTES || header.toString('latin1', 0, 3) !== 'ID3') break;
    // The size is stored in four times seven bits, so that it cannot look like a frame.
    const size = header.subarray(6).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
    const hasFooter = (header[5]! & 0x10) !== 0;
    at += TAG_HEADER_BYTES + size + (hasFooter ? TAG_HEADER_BYTES : 0);
  }
  return at;
}

function framesFollow(bytes: Buffer, read: ReadFrame): boolean {
  const isWhole = bytes.length < WINDOW_BYTES;
  let at = 0;
  let kind: string | undefined;
  for (let count = 0; count < MIN_FRAMES; count++) {
    // A file may end with a tag.
    const atEnd = isWhole && (at === bytes.length || bytes.toString('latin1', at, at + 3) === 'TAG');
    if (count > 0 && atEnd) return true;
    const frame = read(bytes, at);
    if (!frame || (kind !== undefined && kind !== frame.kind)) return false;
    ({ kind } = frame);
    at += frame.length;
    if (at > bytes.length) return false;
  }
  return true;
}

const VERSION_1 = 3;
/** Bit rates of MPEG audio in kbit/s for the indexes from 1, by version (1; 2 and 2.5) and layer. */
const BIT_RATES = {
  v1: {
    1: [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    2: [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    3: [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  },
  v2: {
    1: [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    2: [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    3: [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  },
} as const;
/** Samples per second by the encoded version: 2.5, reserved, 2, 1. */
const SAMPLE_RATES = [[11_025, 12_000, 8_000], [], [22_050, 24_000, 16_000], [44_100, 48_000, 32_000]];

/** Reads a frame of MPEG audio (ISO/IEC 11172-3, 13818-3). Free bit rates, which are not used in practice, are refused. */
function mpegFrame(bytes: Buffer, at: number): Frame | undefined {
  if (at + 4 > bytes.length) return undefined;
  const header = bytes.readUInt32BE(at);
  if (header >>> 21 !== 0x7ff) return undefined;
  const version = (header >>> 19) & 3;
  const layer = 4 - ((header >>> 17) & 3);
  const rate = SAMPLE_RATES[version]![(header >>> 10) & 3];
  if (rate === undefined || (layer !== 1 && layer !== 2 && layer !== 3)) return undefined;
  const kbits = BIT_RATES[version === VERSION_1 ? 'v1' : 'v2'][layer][((header >>> 12) & 15) - 1];
  if (kbits === undefined) return undefined;
  const padding = (header >>> 9) & 1;
  const slots = layer === 1 ? 12 : layer === 3 && version !== VERSION_1 ? 72 : 144;
  const length = (Math.floor((slots * kbits * 1000) / rate) + padding) * (layer === 1 ? 4 : 1);
  return { length, kind: `${version} ${layer} ${rate}` };
}

/** Reads a frame of AAC in an audio data transport stream (ISO/IEC 13818-7). */
function adtsFrame(bytes: Buffer, at: number): Frame | undefined {
  if (at + 7 > bytes.length) return undefined;
  const header = bytes.readUInt32BE(at);
  // The layer is always 0; there are 13 sample rates.
  if (header >>> 20 !== 0xfff || ((header >>> 17) & 3) !== 0 || ((header >>> 10) & 15) > 12) return undefined;
  const length = ((header & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >>> 5);
  return length < 7 ? undefined : { length, kind: `${header >>> 10}` };
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length), position });
  return buffer.subarray(0, bytesRead);
}
