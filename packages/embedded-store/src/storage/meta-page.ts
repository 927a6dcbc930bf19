import { readSync, writeSync } from 'node:fs';

/**
 * LMDB's two meta pages, at the beginning of the data file. A transaction with an even number writes the first, one with an
 * odd number the second; the one with the higher number has the roots of the current trees. Layout: struct MDB_page and
 * MDB_meta of the LMDB that lmdb-js brings.
 */

/** Bytes of a page before its contents. */
export const PAGE_HEADER = 24;
const PAGE_FLAGS_AT = 0x12;
const META_FLAG = 0x08;
const MAGIC = 0xbeefc0de;
export const FREE_TREE_AT = 0x30;
export const MAIN_TREE_AT = 0x60;
export const LAST_PAGE_AT = 0x90;
const TRANSACTION_AT = 0x98;
const META_END = 0xa8;
/** LMDB does not use this part of the first page: between its meta data and the copy that another mode writes. */
const IDENTITY_AT = 1024;
const IDENTITY_BYTES = 16;
const PAGE_SIZES = [4096, 8192, 16_384, 32_768, 65_536];

/** The contents of a meta page: the bytes of the page up to the end of struct MDB_meta. */
export type Meta = Buffer;

/** Bytes of a meta page that `restoreMeta` needs. */
export const META_BYTES = META_END;

function isMeta(page: Buffer): boolean {
  return (page.readUInt16LE(PAGE_FLAGS_AT) & META_FLAG) !== 0 && page.readUInt32LE(PAGE_HEADER) === MAGIC;
}

function readPage(descriptor: number, position: number): Meta | undefined {
  const bytes = Buffer.alloc(META_END);
  return readSync(descriptor, bytes, 0, META_END, position) === META_END && isMeta(bytes) ? bytes : undefined;
}

/** Size of the file's pages, in bytes. */
export function pageSizeOf(meta: Meta): number {
  return meta.readUInt32LE(FREE_TREE_AT);
}

/** Number of the transaction that wrote the page. */
export function transactionOf(meta: Meta): bigint {
  return meta.readBigUInt64LE(TRANSACTION_AT);
}

/** The meta page of the latest transaction; a string says which page is not one. */
export function readNewestMeta(descriptor: number): Meta | 'first' | 'second' {
  const first = readPage(descriptor, 0);
  if (!first || !PAGE_SIZES.includes(pageSizeOf(first))) return 'first';
  const second = readPage(descriptor, pageSizeOf(first));
  if (!second) return 'second';
  return transactionOf(second) > transactionOf(first) ? second : first;
}

/** Makes an earlier transaction the latest of the file. Its pages must be unchanged. */
export function restoreMeta(descriptor: number, meta: Meta): void {
  const transaction = transactionOf(meta);
  for (const number of [transaction - 1n, transaction]) {
    const page = Buffer.from(meta.subarray(PAGE_HEADER));
    page.writeBigUInt64LE(number, TRANSACTION_AT - PAGE_HEADER);
    writeSync(descriptor, page, 0, page.length, Number(number & 1n) * pageSizeOf(meta) + PAGE_HEADER);
  }
}

/** The identity that `writeIdentity` gave the file. */
export function readIdentity(descriptor: number): Buffer {
  const bytes = Buffer.alloc(IDENTITY_BYTES);
  readSync(descriptor, bytes, 0, IDENTITY_BYTES, IDENTITY_AT);
  return bytes;
}

/** Marks the file, so that its log is recognized. */
export function writeIdentity(descriptor: number, identity: Buffer): void {
  writeSync(descriptor, identity, 0, IDENTITY_BYTES, IDENTITY_AT);
}
