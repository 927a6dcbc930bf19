import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { StoreError } from '../errors';
import {
  FREE_TREE_AT,
  LAST_PAGE_AT,
  MAIN_TREE_AT,
  PAGE_HEADER as HEADER,
  pageSizeOf,
  readNewestMeta,
} from './meta-page';
import type { Meta } from './meta-page';

/**
 * LMDB maps the data file into memory and trusts it: a truncated or overwritten file would crash the process, or
 * wrong data would be served. This check reads the file before and follows its trees from the newest meta page.
 * Layout: struct MDB_page, MDB_node, MDB_meta and MDB_db of the LMDB that lmdb-js brings.
 */

const FLAGS_AT = 0x12;
const LOWER_AT = 0x14;
const UPPER_AT = 0x16;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const ROOT_AT = 40;
const DEPTH_AT = 6;
const NODE = 8;
const NODE_BIG = 0x01;
const NODE_TREE = 0x02;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** Files up to this size are checked completely, larger ones without their leaves, so that opening stays fast. */
const WHOLE_CHECK_BYTES = 64 * 1024 * 1024;

/** Throws DataCorruptionDetected when the file is not a complete LMDB file. A missing file is valid. */
export function checkDataFile(path: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const { size } = fstatSync(descriptor);
    if (size > 0) new FileCheck(descriptor, size, path).run();
  } finally {
    closeSync(descriptor);
  }
}

class FileCheck {
  #pageSize = 4096;
  #lastPage = 0;

  constructor(
    private readonly descriptor: number,
    private readonly size: number,
    private readonly path: string,
  ) {}

  run(): void {
    const meta = this.#newestMeta();
    this.#lastPage = Number(meta.readBigUInt64LE(LAST_PAGE_AT));
    this.#checkTree(meta.subarray(FREE_TREE_AT), 'leaf');
    this.#checkTree(meta.subarray(MAIN_TREE_AT), 'tree of trees');
  }

  #newestMeta(): Meta {
    const meta = readNewestMeta(this.descriptor);
    if (typeof meta === 'string') throw this.#damaged(`its ${meta} page is not that of a data file`);
    this.#pageSize = pageSizeOf(meta);
    return meta;
  }

  /** Checks a tree from its record, and the trees in the main tree. */
  #checkTree(record: Buffer, kind: 'leaf' | 'tree of trees'): void {
    const root = record.readBigUInt64LE(ROOT_AT);
    if (root !== NO_PAGE) this.#checkPage(root, record.readUInt16LE(DEPTH_AT), kind);
  }

  #checkPage(number: bigint, depth: number, kind: 'leaf' | 'tree of trees'): void {
    if (depth === 1 && kind === 'leaf' && this.size > WHOLE_CHECK_BYTES) {
      this.#checkNumber(number);
      return;
    }
    const page = this.#page(number);
    const flags = page.readUInt16LE(FLAGS_AT);
    const lower = page.readUInt16LE(LOWER_AT);
    const upper = page.readUInt16LE(UPPER_AT);
    const isBranch = (flags & BRANCH) !== 0;
    const fits = page.readBigUInt64LE(0) === number && lower <= upper && HEADER + upper <= this.#pageSize;
    if (!fits || depth < 1 || isBranch !== depth > 1 || (flags & (BRANCH | LEAF)) === 0) {
      throw this.#damaged(`page ${number} is not a page of its tree`);
    }
    for (let pointer = HEADER; pointer < HEADER + lower; pointer += 2) {
      const at = page.readUInt16LE(pointer) + HEADER;
      if (at < HEADER + lower || at + NODE > this.#pageSize)
        throw this.#damaged(`page ${number} has a bad node`);
      if (isBranch) this.#checkPage(childOf(page, at), depth - 1, kind);
      else this.#checkLeafNode(page, at, number, kind);
    }
  }

  #checkLeafNode(page: Buffer, at: number, number: bigint, kind: 'leaf' | 'tree of trees'): void {
    const flags = page.readUInt16LE(at + 4);
    const dataAt = at + NODE + page.readUInt16LE(at + 6);
    const dataSize = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 0x1_0000;
    const end = dataAt + ((flags & NODE_BIG) !== 0 ? 8 : dataSize);
    if (end > this.#pageSize) throw this.#damaged(`page ${number} has a node beyond its end`);
    if ((flags & NODE_BIG) !== 0) this.#checkOverflow(page.readBigUInt64LE(dataAt));
    else if ((flags & NODE_TREE) !== 0 && kind === 'tree of trees') {
      this.#checkTree(page.subarray(dataAt, dataAt + dataSize), 'leaf');
    }
  }

  #checkOverflow(number: bigint): void {
    const page = this.#page(number);
    const last = Number(number) + page.readUInt32LE(LOWER_AT) - 1;
    const fits = page.readBigUInt64LE(0) === number && (page.readUInt16LE(FLAGS_AT) & OVERFLOW) !== 0;
    if (!fits || last > this.#lastPage || (last + 1) * this.#pageSize > this.size) {
      throw this.#damaged(`page ${number} does not begin a large document`);
    }
  }

  #checkNumber(number: bigint): void {
    if (number > BigInt(this.#lastPage) || Number(number + 1n) * this.#pageSize > this.size) {
      throw this.#damaged(`page ${number} is missing; the file is shorter than it was`);
    }
  }

  #page(number: bigint): Buffer {
    this.#checkNumber(number);
    return this.#read(Number(number) * this.#pageSize, this.#pageSize);
  }

  #read(position: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    if (readSync(this.descriptor, buffer, 0, length, position) < length) {
      throw this.#damaged('it is shorter than it was');
    }
    return buffer;
  }

  #damaged(what: string): StoreError {
    return new StoreError(
      'DataCorruptionDetected',
      `the data file ${this.path} is damaged: ${what}. Restore it from a backup; it was left as it is.`,
    );
  }
}

/** The page that a branch node points to: 48 bits over three fields of the node. */
function childOf(page: Buffer, at: number): bigint {
  const low = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 0x1_0000;
  return BigInt(low) + (BigInt(page.readUInt16LE(at + 4)) << 32n);
}
