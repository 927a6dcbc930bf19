import { createHash } from 'node:crypto';
import {
  ArchiveError,
  CHECKSUMS,
  collectionOfPart,
  isStorageKey,
  keyOfPart,
  LARGEST_DESCRIPTION_BYTES,
  MANIFEST,
  manifestSchema,
  type Manifest,
} from './archive-format';
import { ArchiveReader, parseJson, type ArchiveEntry } from './archive-reader';

/** Called with the bytes that have been read, and those of the whole archive. */
export type OnProgress = (done: number, total: number) => void;

/** A verified archive. */
export interface VerifiedArchive {
  manifest: Manifest;
  /** What each part has when it is read again. */
  digests: PartDigests;
}

/** The size of one digest in bytes. */
const DIGEST_BYTES = 32;
const DIGESTS_PER_CHUNK = 32_768;

/** The digests of the names and contents of all parts, in their order: 32 bytes each, since there may be millions of files. */
export class PartDigests {
  private readonly chunks: Buffer[] = [];
  size = 0;

  add(digest: Buffer): void {
    const index = this.size % DIGESTS_PER_CHUNK;
    if (index === 0) this.chunks.push(Buffer.alloc(DIGESTS_PER_CHUNK * DIGEST_BYTES));
    digest.copy(this.chunks.at(-1)!, index * DIGEST_BYTES);
    this.size++;
  }

  /** Whether a part has the digest with this index. */
  matches(index: number, digest: Buffer): boolean {
    if (index >= this.size) return false;
    const start = (index % DIGESTS_PER_CHUNK) * DIGEST_BYTES;
    const chunk = this.chunks[Math.floor(index / DIGESTS_PER_CHUNK)]!;
    return chunk.subarray(start, start + DIGEST_BYTES).equals(digest);
  }
}

/** Returns the digest of a part from its name and the checksum of its content in hexadecimal digits. */
export function partDigest(name: string, sha256: string): Buffer {
  return createHash('sha256').update(`${sha256}  ${name}`).digest();
}

/**
 * Reads a whole archive and checks everything in it: its seal, the checksum of every part, that no part is missing, and
 * that the counts of the manifest fit. Writes nothing.
 * @throws ArchiveError that names the damaged part.
 */
export async function verifyArchive(
  path: string,
  onProgress: OnProgress = () => {},
): Promise<VerifiedArchive> {
  const reader = await ArchiveReader.open(path);
  try {
    return await new Verification(reader, onProgress).run();
  } finally {
    await reader.close();
  }
}

class Verification {
  private readonly digests = new PartDigests();
  private readonly found = {
    files: { count: 0, bytes: 0 },
    partsByCollection: new Map<string, number>(),
  };
  /** The first fault of the list of checksums, or of a part that differs from it. */
  private fault: string | undefined;

  constructor(
    private readonly reader: ArchiveReader,
    private readonly onProgress: OnProgress,
  ) {}

  async run(): Promise<VerifiedArchive> {
    let checksums: string | undefined;
    let manifestText: Buffer | undefined;
    for await (const entry of this.reader.entries()) {
      if (manifestText) throw new ArchiveError(`The part ${entry.name} is out of place.`);
      if (checksums !== undefined && entry.name !== MANIFEST) {
        throw new ArchiveError(`The part ${entry.name} is out of place.`);
      }
      if (entry.name === CHECKSUMS) checksums = await this.readChecksums(entry);
      else if (entry.name === MANIFEST) manifestText = await entry.content(LARGEST_DESCRIPTION_BYTES);
      else await this.readPart(entry);
    }
    if (!manifestText) throw new ArchiveError(`The part ${MANIFEST} is missing.`);
    if (checksums === undefined) throw new ArchiveError(`The part ${CHECKSUMS} is missing.`);
    const parsed = manifestSchema.safeParse(parseJson(manifestText, MANIFEST));
    if (!parsed.success) throw new ArchiveError(`The part ${MANIFEST} is damaged.`);
    const { data: manifest } = parsed;
    if (manifest.checksums.sha256 !== checksums) {
      throw new ArchiveError(`The part ${CHECKSUMS} or ${MANIFEST} is damaged.`);
    }
    if (this.fault !== undefined) throw new ArchiveError(this.fault);
    this.compareCounts(manifest);
    if (!this.reader.isIntact()) {
      throw new ArchiveError('The archive is damaged between its parts, or in its manifest.');
    }
    return { manifest, digests: this.digests };
  }

  private async readPart(entry: ArchiveEntry): Promise<void> {
    const hash = createHash('sha256');
    for await (const piece of this.pieces(entry)) hash.update(piece);
    this.digests.add(partDigest(entry.name, hash.digest('hex')));
    const key = keyOfPart(entry.name);
    const collection = collectionOfPart(entry.name);
    if (key !== undefined) {
      if (!isStorageKey(key)) throw new ArchiveError(`The archive has a file with the name ${key}.`);
      this.found.files.count++;
      this.found.files.bytes += entry.size;
    }
    if (collection !== undefined) {
      const { partsByCollection } = this.found;
      partsByCollection.set(collection, (partsByCollection.get(collection) ?? 0) + 1);
    }
  }

  /** Compares the list of checksums with the parts that have been read. @returns its own checksum. */
  private async readChecksums(entry: ArchiveEntry): Promise<string> {
    const hash = createHash('sha256');
    let index = 0;
    let rest = '';
    for await (const piece of this.pieces(entry)) {
      hash.update(piece);
      const lines = (rest + piece.toString('latin1')).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.compare(index++, line);
    }
    if (rest !== '') this.fault ??= `The part ${CHECKSUMS} is damaged.`;
    if (index !== this.digests.size) {
      this.fault ??= `The archive has ${this.digests.size} parts, and checksums of ${index}.`;
    }
    return hash.digest('hex');
  }

  private compare(index: number, line: string): void {
    if (this.fault !== undefined) return;
    const [, sha256, name] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (sha256 === undefined || name === undefined) this.fault = `The part ${CHECKSUMS} is damaged.`;
    else if (index >= this.digests.size) this.fault = `The part ${name} is missing.`;
    else if (!this.digests.matches(index, partDigest(name, sha256))) {
      this.fault = `The part ${name} is damaged or missing.`;
    }
  }

  private compareCounts({ files, collections, checksums }: Manifest): void {
    const { found } = this;
    const parts = Object.values(collections).reduce((sum, each) => sum + each.parts, 0);
    const known = [...found.partsByCollection].every(([name, count]) => collections[name]?.parts === count);
    const total = [...found.partsByCollection.values()].reduce((sum, count) => sum + count, 0);
    const isComplete =
      checksums.entries === this.digests.size &&
      files.count === found.files.count &&
      files.bytes === found.files.bytes &&
      known &&
      total === parts;
    if (!isComplete) throw new ArchiveError(`The parts of the archive are not those of its ${MANIFEST}.`);
  }

  private async *pieces(entry: ArchiveEntry): AsyncGenerator<Buffer> {
    for await (const piece of entry.pieces()) {
      yield piece;
      const { done, total } = this.reader.progress;
      this.onProgress(done, total);
    }
  }
}
