import { Header } from 'tar';
import { z } from 'zod';

/**
 * An archive is a tar file. Its entries, in this order:
 *
 * - `parley-backup.json`: what the file is, and the version of its format;
 * - `documents/<collection>.<number>.bson.gz`: documents of one collection, one after the other as BSON, as `bsondump` reads them;
 * - `files/<key>`: uploaded files and avatars, by their key in the storage;
 * - `checksums.sha256`: the checksum of each entry before it, as `sha256sum --check` reads it;
 * - `manifest.json`: counts, sizes, and the checksum of `checksums.sha256`.
 *
 * After the end of the tar file, which programs for tar files do not read on from, a block contains the length and the checksum of
 * everything before it: the seal. An archive without a valid seal is incomplete or damaged.
 */
export const FORMAT = 'parley-backup';
/** Restoring refuses archives of another version. */
export const FORMAT_VERSION = 1;

export const INTRODUCTION = 'parley-backup.json';
export const CHECKSUMS = 'checksums.sha256';
export const MANIFEST = 'manifest.json';

/** All sizes in a tar file are multiples of it, in bytes. */
export const BLOCK_BYTES = 512;
/** The end of a tar file. */
export const END_OF_TAR = Buffer.alloc(2 * BLOCK_BYTES);

/** The size at which documents are divided into parts, in bytes before compression. The last document may exceed it. */
export const DOCUMENT_PART_BYTES = 8 * 1024 * 1024;
/** The largest part of documents before compression: its last document may have 16 MiB, and a little more inside MongoDB. */
export const LARGEST_DOCUMENT_PART_BYTES = 2 * DOCUMENT_PART_BYTES + 16 * 1024 * 1024;
/** The largest description (introduction, manifest) that is read into memory. */
export const LARGEST_DESCRIPTION_BYTES = 4 * 1024 * 1024;

/** The archive is damaged, incomplete or of another format. The message is one sentence for the administrator. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const introductionSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  /** The version of Parley that has made the archive. */
  parleyVersion: z.string(),
  createdAt: z.iso.datetime(),
});

export const manifestSchema = introductionSchema.extend({
  database: z.object({
    kind: z.enum(['embedded', 'mongodb']),
    /** As the server reports it. */
    version: z.string(),
    name: z.string(),
  }),
  /** Identifies the ENCRYPTION_KEY of the site without revealing it. */
  encryptionKeyId: z.string(),
  /** How the documents were read: from a snapshot, in a transaction, or while no node was running. */
  consistency: z.enum(['snapshot', 'transaction', 'stopped']),
  /** The number of the latest migration that the documents have gone through; 0 for none. */
  migration: count,
  /** By name: the documents, and their size before compression. */
  collections: z.record(z.string(), z.object({ documents: count, bytes: count, parts: count })),
  files: z.object({ count, bytes: count }),
  /** Files that the documents refer to and that were missing in the storage: their number, and the keys of some of them. */
  missingFiles: z.object({ count, keys: z.array(z.string()) }),
  checksums: z.object({ entries: count, sha256 }),
});

/** What an archive contains. */
export type Manifest = z.infer<typeof manifestSchema>;

/** The name of a part of documents; parts are numbered from 1. */
export function documentPart(collection: string, number: number): string {
  return `documents/${encodeURIComponent(collection)}.${String(number).padStart(6, '0')}.bson.gz`;
}

/** Returns the collection of a part of documents; undefined for another entry. */
export function collectionOfPart(name: string): string | undefined {
  const [, collection] = /^documents\/([^/]+)\.\d{6,}\.bson\.gz$/.exec(name) ?? [];
  return collection === undefined ? undefined : decodeURIComponent(collection);
}

const FILES = 'files/';

export const filePart = (key: string): string => `${FILES}${key}`;

/** Returns the key of a file; undefined for another entry. */
export function keyOfPart(name: string): string | undefined {
  return name.startsWith(FILES) ? name.slice(FILES.length) : undefined;
}

/**
 * Whether a key is one of the storage. An archive may come from elsewhere: no other path may be written.
 */
export function isStorageKey(key: string): boolean {
  return /^[a-z]{1,20}\/[0-9A-Za-z][0-9A-Za-z._-]{0,80}$/.test(key);
}

/** Returns the header of an entry. @throws Error when the name is too long for a tar file. */
export function headerOf(name: string, size: number, modifiedAt: Date): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const header = new Header({
    path: name,
    size,
    mtime: modifiedAt,
    mode: 0o600,
    uid: 0,
    gid: 0,
    type: 'File',
  });
  // Then the name or a number does not fit into the header.
  if (header.encode(block, 0)) throw new Error(`The name ${name} cannot be stored in an archive.`);
  return block;
}

/** The number of bytes that follow the content of an entry, up to the next block. */
export function paddingAfter(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

/** Returns the block after the end of the tar file. @param bytes the length of the tar file. */
export function sealOf(bytes: number, sha256OfAll: string): Buffer {
  const text = `End of a Parley backup\nbytes ${bytes}\nsha256 ${sha256OfAll}\n`;
  return Buffer.from(text.padEnd(BLOCK_BYTES, '\n'), 'latin1');
}

/** Reads a seal. @returns undefined when the block is not exactly a seal. */
export function readSeal(block: Buffer): { bytes: number; sha256: string } | undefined {
  const [, bytes, hash] =
    /^.*\nbytes (\d{1,16})\nsha256 ([0-9a-f]{64})\n/.exec(block.toString('latin1')) ?? [];
  if (bytes === undefined || hash === undefined) return undefined;
  return sealOf(Number(bytes), hash).equals(block) ? { bytes: Number(bytes), sha256: hash } : undefined;
}
