import { BSON, type Db, type Document } from 'mongodb';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { LeaseTaken, type ExclusiveLease } from '../../db/exclusive-lease';
import { requireNoUnfinishedRestore, RESTORE_COLLECTION } from '../../db/restore-marker';
import { VERSION } from '../../utils/version';
import type { FileHold } from '../files/file-hold';
import type { FileStorage } from '../files/file-storage';
import { REFERENCED_FILES } from '../files/referenced-files';
import { DOCUMENT_PART_BYTES, documentPart, filePart, type Manifest } from './archive-format';
import { ArchiveWriter, type WrittenArchive } from './archive-writer';
import { consistencyOf, readConsistently, type Consistency, type DocumentReader } from './document-reader';
import type { Spool } from './spool';

const compress = promisify(gzip);

/** Collections that describe running processes and not the site. */
const EXCLUDED_COLLECTIONS: ReadonlySet<string> = new Set([
  'nodes',
  'leases',
  'relayed_events',
  RESTORE_COLLECTION,
]);
/**
 * Documents that are not part of a backup: the id of the database, by which it owns its upload folder (two databases must
 * not own one), when the last scheduled backup was made, and the lock of migrations.
 */
const EXCLUDED_DOCUMENTS: Readonly<Record<string, Document>> = {
  installation: { _id: { $nin: ['database', 'scheduled_backup'] } },
  migrations: { _id: { $ne: 'lock' } },
};
const MIGRATIONS = 'migrations';

/** How many keys of missing files are listed. */
const LISTED_MISSING_FILES = 100;

export interface BackupProgress {
  phase: 'documents' | 'files';
  done: number;
  /** As estimated at the beginning of the phase. */
  total: number;
}

export interface BackupOptions {
  /** The path of the archive, which must not exist. */
  path: string;
  onProgress?: (progress: BackupProgress) => void;
  /** Ends the backup early. */
  signal?: AbortSignal;
  /** Decides whether to go on, after other backups have ended. */
  isNeeded?: () => Promise<boolean>;
  /** How documents are read, for tests; by default as the server allows it. */
  consistency?: Consistency;
}

/** The dependencies of BackupService. */
export interface BackupServiceDeps {
  db: Db;
  isEmbedded: boolean;
  /** Whether no other process can use the database, so that no other backup can be running. */
  isSole: boolean;
  storage: Pick<FileStorage, 'open'>;
  fileHold: FileHold;
  /** Identifies ENCRYPTION_KEY without revealing it. */
  encryptionKeyId: string;
}

/** Writes all documents and files of a site to an archive, while nodes use it. */
export class BackupService {
  constructor(private readonly deps: BackupServiceDeps) {}

  /**
   * Writes an archive. When this resolves, the archive is whole and on the disk; when it rejects, there is none.
   * @returns undefined when `isNeeded` says no.
   * @throws Error that says what to do, when another backup runs, a restore was interrupted, the file exists or cannot be
   * written, or the server cannot provide a consistent state.
   */
  async create(options: BackupOptions): Promise<WrittenArchive | undefined> {
    await requireNoUnfinishedRestore(this.deps.db);
    try {
      // Before the snapshot, so that no file that it refers to is deleted.
      const work = async (lease: ExclusiveLease) =>
        options.isNeeded && !(await options.isNeeded()) ? undefined : this.write(options, lease);
      return await this.deps.fileHold.during(work, this.deps.isSole);
    } catch (error) {
      if (!(error instanceof LeaseTaken)) throw error;
      throw new Error(
        `Another backup is running, or was interrupted less than a minute ago. Try again after ${error.heldUntil.toISOString()}.`,
        { cause: error },
      );
    }
  }

  private async write(options: BackupOptions, lease: ExclusiveLease): Promise<WrittenArchive> {
    const { db, isEmbedded, encryptionKeyId } = this.deps;
    const hello = await db.admin().command({ hello: 1 });
    const { version } = await db.admin().command({ buildInfo: 1 });
    const consistency = options.consistency ?? consistencyOf(hello);
    const createdAt = new Date().toISOString();
    const writer = await ArchiveWriter.create(options.path, { parleyVersion: VERSION, createdAt });
    let keys: Spool | undefined;
    try {
      const list = (keys = await writer.spool('files'));
      const run = new BackupRun(writer, list, options, lease);
      const documents = await readConsistently(db, consistency, async (reader) =>
        run.writeDocuments(reader, await this.collectionSizes()),
      );
      const files = await run.writeFiles(this.deps.storage);
      await keys.remove();
      return await writer.finish({
        database: {
          kind: isEmbedded ? 'embedded' : 'mongodb',
          version: String(version),
          name: db.databaseName,
        },
        encryptionKeyId,
        consistency,
        ...documents,
        ...files,
      });
    } catch (error) {
      await keys?.remove().catch(() => undefined);
      await writer.discard();
      throw error;
    }
  }

  /** Returns the estimated numbers of documents, by collection. */
  private async collectionSizes(): Promise<Map<string, number>> {
    const { db } = this.deps;
    const found = await db.listCollections({ type: 'collection' }, { nameOnly: false }).toArray();
    const names = found
      .map(({ name }) => name)
      .filter((name) => !EXCLUDED_COLLECTIONS.has(name) && !name.startsWith('system.'));
    const sizes = new Map<string, number>();
    for (const name of names.sort()) sizes.set(name, await db.collection(name).estimatedDocumentCount());
    return sizes;
  }
}

/** One backup: writes its parts. */
class BackupRun {
  private keys = 0;

  constructor(
    private readonly writer: ArchiveWriter,
    /** The keys of all files that the documents refer to, one in each line. */
    private readonly keyList: Spool,
    private readonly options: BackupOptions,
    private readonly lease: ExclusiveLease,
  ) {}

  async writeDocuments(
    reader: DocumentReader,
    sizes: Map<string, number>,
  ): Promise<Pick<Manifest, 'collections' | 'migration'>> {
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const collections: Manifest['collections'] = {};
    let migration = 0;
    let done = 0;
    for (const name of sizes.keys()) {
      const parts = new DocumentParts(this.writer, name);
      const keysOf = REFERENCED_FILES.get(name);
      for await (const bytes of reader.documents(name, EXCLUDED_DOCUMENTS[name] ?? {})) {
        if (keysOf) await this.noteKeys(keysOf(BSON.deserialize(bytes)));
        if (name === MIGRATIONS) {
          const _id: unknown = BSON.deserialize(bytes)['_id'];
          if (typeof _id === 'number') migration = Math.max(migration, _id);
        }
        if (await parts.add(bytes)) this.check();
        this.options.onProgress?.({ phase: 'documents', done: ++done, total: Math.max(done, total) });
      }
      this.check();
      collections[name] = await parts.end();
    }
    return { collections, migration };
  }

  async writeFiles(storage: Pick<FileStorage, 'open'>): Promise<Pick<Manifest, 'files' | 'missingFiles'>> {
    const files = { count: 0, bytes: 0 };
    const missing = { count: 0, keys: [] as string[] };
    let done = 0;
    for await (const key of this.keyList.lines()) {
      this.check();
      const file = await storage.open(key);
      if (file) {
        try {
          await this.writer.addPieces(filePart(key), file.size, this.checked(file.read()));
        } finally {
          await file.close();
        }
        files.count++;
        files.bytes += file.size;
      } else {
        missing.count++;
        if (missing.keys.length < LISTED_MISSING_FILES) missing.keys.push(key);
      }
      this.options.onProgress?.({ phase: 'files', done: ++done, total: this.keys });
    }
    return { files, missingFiles: missing };
  }

  private async noteKeys(keys: string[]): Promise<void> {
    this.keys += keys.length;
    for (const key of keys) await this.keyList.add(key);
  }

  private async *checked(pieces: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      this.check();
      yield piece as Buffer;
    }
  }

  private check(): void {
    this.options.signal?.throwIfAborted();
    this.lease.check();
  }
}

/** Writes the documents of one collection, in parts. While a part is compressed, the next one is collected. */
class DocumentParts {
  private readonly totals = { documents: 0, bytes: 0, parts: 0 };
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly writer: ArchiveWriter,
    private readonly collection: string,
  ) {}

  /** @returns whether a part was completed. */
  async add(document: Buffer): Promise<boolean> {
    this.waiting.push(document);
    this.waitingBytes += document.length;
    this.totals.documents++;
    this.totals.bytes += document.length;
    if (this.waitingBytes < DOCUMENT_PART_BYTES) return false;
    await this.endPart();
    return true;
  }

  async end(): Promise<Manifest['collections'][string]> {
    if (this.waiting.length > 0) await this.endPart();
    await this.writing;
    return this.totals;
  }

  private async endPart(): Promise<void> {
    const part = Buffer.concat(this.waiting);
    this.waiting = [];
    this.waitingBytes = 0;
    const name = documentPart(this.collection, ++this.totals.parts);
    await this.writing;
    const writing = compress(part).then((compressed) => this.writer.add(name, compressed));
    // It is awaited before the next part.
    writing.catch(() => undefined);
    this.writing = writing;
  }
}
