import { createHash, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { Db, Document } from 'mongodb';
import {
  LeaseTaken,
  withExclusiveLease,
  type ExclusiveLease,
  type ExclusiveLeaseDocument,
} from '../../db/exclusive-lease';
import { MIGRATIONS } from '../../db/migrations';
import { prepareDatabase } from '../../db/migrations/runner';
import { RESTORE_COLLECTION, restoreMarkers, type RestoreMarkerDocument } from '../../db/restore-marker';
import { writeTemporary } from '../../utils/disk';
import type { Logger } from '../../utils/logger';
import type { FileStorage } from '../files/file-storage';
import type { UploadFolder } from '../files/upload-folder';
import {
  ArchiveError,
  collectionOfPart,
  keyOfPart,
  LARGEST_DOCUMENT_PART_BYTES,
  type Manifest,
} from './archive-format';
import { ArchiveReader, type ArchiveEntry } from './archive-reader';
import { partDigest, type OnProgress, type VerifiedArchive } from './archive-verifier';
import { documentsOf } from './bson-documents';
import { requireNoNodes } from './document-reader';

const decompress = promisify(gunzip);

const LEASES = 'leases';
const LEASE = 'restore';
/** Collections that the start of a server fills by itself: a database with nothing else is empty. */
const BOOKKEEPING: ReadonlySet<string> = new Set([
  'installation',
  'migrations',
  'nodes',
  'relayed_events',
  LEASES,
]);
const INSERT_BATCH = 1000;

/** The dependencies of Restorer. */
export interface RestorerDeps {
  db: Db;
  /** Whether no other process can use the database. */
  isSole: boolean;
  storage: FileStorage & { start(): Promise<void> };
  /** The folders of the storage. */
  folders: readonly string[];
  /** A folder on the same file system as the storage. */
  temporaryFolder: string;
  uploadFolder: UploadFolder;
  encryptionKeyId: string;
  logger: Logger;
}

export interface RestoreOptions {
  /** The path of the archive. */
  path: string;
  verified: VerifiedArchive;
  /** Whether everything in the database and in the upload folder is deleted first. */
  replace?: boolean;
  onProgress?: OnProgress;
}

/** What a restore would write to. */
export type TargetState = 'empty' | 'unfinished' | 'in use';

/** Writes the documents and files of an archive to an empty database and an empty upload folder. */
export class Restorer {
  constructor(private readonly deps: RestorerDeps) {}

  /** Whether the database or the upload folder has anything that a restore would delete. */
  async targetState(): Promise<TargetState> {
    const { db, uploadFolder } = this.deps;
    if (await restoreMarkers(db).findOne({ _id: 'restore' })) return 'unfinished';
    for (const name of await this.collectionNames()) {
      const filter: Document = name === 'installation' ? { _id: 'first_account' } : {};
      if (BOOKKEEPING.has(name) && name !== 'installation') continue;
      if (await db.collection(name).findOne(filter, { projection: { _id: 1 } })) return 'in use';
    }
    return (await uploadFolder.hasFiles()) ? 'in use' : 'empty';
  }

  /**
   * Restores a verified archive: documents, indexes and files. A restore that is interrupted leaves a marker, because of which
   * no server starts on the database, and the next restore starts from the beginning.
   * @throws ArchiveError; Error that says what to do when the archive does not fit this version, nodes are running, or there
   * is something to delete without `replace`.
   */
  async restore({ path, verified, replace = false, onProgress = () => {} }: RestoreOptions): Promise<void> {
    const { db, isSole, uploadFolder } = this.deps;
    const { manifest } = verified;
    requireKnownMigrations(manifest);
    await requireNoNodes(db, 'A server uses this database. Stop all nodes of Parley first.');
    await this.identify();
    await uploadFolder.requireOwn();
    if ((await this.targetState()) === 'in use' && !replace) {
      throw new Error(
        'The database or the upload folder is not empty. A restore with --replace deletes everything in both first.',
      );
    }
    const leases = db.collection<ExclusiveLeaseDocument>(LEASES);
    const work = (lease: ExclusiveLease) => this.write(path, verified, onProgress, lease);
    try {
      await withExclusiveLease(leases, LEASE, work, isSole);
    } catch (error) {
      if (!(error instanceof LeaseTaken)) throw error;
      throw new Error(
        `Another restore is running, or was interrupted less than a minute ago. Try again after ${error.heldUntil.toISOString()}.`,
        { cause: error },
      );
    }
  }

  private async write(
    path: string,
    { manifest, digests }: VerifiedArchive,
    onProgress: OnProgress,
    lease: ExclusiveLease,
  ): Promise<void> {
    const { db, isSole, logger, storage, uploadFolder } = this.deps;
    await this.mark(path);
    await this.clear();
    await this.identify();
    await storage.start();
    await uploadFolder.start();
    const reader = await ArchiveReader.open(path);
    try {
      let index = 0;
      for await (const entry of reader.entries()) {
        lease.check();
        const sha256 = await this.writeEntry(entry, manifest);
        // It may have changed since it was verified, or the disk is failing.
        const isSame = digests.matches(index, partDigest(entry.name, sha256));
        if (index++ < digests.size && !isSame) throw new ArchiveError(`The part ${entry.name} is damaged.`);
        const { done, total } = reader.progress;
        onProgress(done, total);
      }
    } finally {
      await reader.close();
    }
    await this.compare(manifest);
    await prepareDatabase(db, logger, { isOnlyProcess: isSole });
    lease.check();
    await db.collection(RESTORE_COLLECTION).drop();
  }

  /** @returns the checksum of the content. */
  private async writeEntry(entry: ArchiveEntry, manifest: Manifest): Promise<string> {
    const hash = createHash('sha256');
    const collection = collectionOfPart(entry.name);
    const key = keyOfPart(entry.name);
    if (collection !== undefined && Object.hasOwn(manifest.collections, collection)) {
      const part = await entry.content(LARGEST_DOCUMENT_PART_BYTES);
      await this.insert(collection, await this.decompress(part, entry.name), entry.name);
      hash.update(part);
    } else if (key !== undefined) {
      const { path } = await writeTemporary(this.deps.temporaryFolder, async (file) => {
        for await (const piece of entry.pieces()) {
          hash.update(piece);
          await file.writeFile(piece);
        }
      });
      await this.deps.storage.putFile(key, path);
    } else {
      for await (const piece of entry.pieces()) hash.update(piece);
    }
    return hash.digest('hex');
  }

  private async decompress(part: Buffer, name: string): Promise<Buffer> {
    try {
      return await decompress(part, { maxOutputLength: LARGEST_DOCUMENT_PART_BYTES });
    } catch (error) {
      throw new ArchiveError(`The part ${name} cannot be decompressed.`, { cause: error });
    }
  }

  private async insert(collection: string, part: Buffer, name: string): Promise<void> {
    const target = this.deps.db.collection(collection);
    // The ids are in the documents. Order does not matter, so the server may go on after each document.
    const options = { ordered: false, forceServerObjectId: true, bypassDocumentValidation: true };
    let batch: Document[] = [];
    for (const document of documentsOf(part, name)) {
      batch.push(document);
      if (batch.length < INSERT_BATCH) continue;
      await target.insertMany(batch, options);
      batch = [];
    }
    if (batch.length > 0) await target.insertMany(batch, options);
  }

  /** Compares the numbers of documents and files with those of the archive. */
  private async compare({ collections, files }: Manifest): Promise<void> {
    const { db, storage } = this.deps;
    for (const [name, { documents }] of Object.entries(collections)) {
      // The database has its id in addition.
      const filter: Document = name === 'installation' ? { _id: { $ne: 'database' } } : {};
      const found = await db.collection(name).countDocuments(filter);
      if (found !== documents) {
        throw new Error(
          `The collection ${name} has ${found} documents after the restore, and not ${documents}.`,
        );
      }
    }
    const found = await storage.usage();
    if (found.files !== files.count || found.bytes !== files.bytes) {
      throw new Error(
        `The upload folder has ${found.files} files with ${found.bytes} bytes after the restore, and not ` +
          `${files.count} with ${files.bytes}.`,
      );
    }
  }

  /** Marks the database as incomplete, before anything is changed. */
  private async mark(archive: string): Promise<void> {
    const { db } = this.deps;
    const identity = await db
      .collection<{ _id: string; id: string }>('installation')
      .findOne({ _id: 'database' });
    const startedAt = new Date();
    // A database that is replaced keeps its id, because its upload folder has it.
    const databaseId = identity?.id ?? randomUUID();
    await restoreMarkers(db).updateOne(
      { _id: 'restore' },
      { $set: { archive, startedAt }, $setOnInsert: { databaseId } },
      { upsert: true },
    );
  }

  /** Gives the database of an unfinished restore its id, by which the files that it has already written are its own. */
  private async identify(): Promise<void> {
    const { db } = this.deps;
    const marker: RestoreMarkerDocument | null = await restoreMarkers(db).findOne({ _id: 'restore' });
    if (!marker) return;
    await db
      .collection<{ _id: string; id: string }>('installation')
      .updateOne({ _id: 'database' }, { $set: { id: marker.databaseId } }, { upsert: true });
  }

  /** Deletes everything. */
  private async clear(): Promise<void> {
    const { db, storage, folders } = this.deps;
    for (const name of await this.collectionNames()) {
      if (name !== RESTORE_COLLECTION && name !== LEASES) await db.collection(name).drop();
    }
    for (const folder of folders) {
      for await (const { key } of storage.list(folder)) await storage.delete(key);
    }
  }

  private async collectionNames(): Promise<string[]> {
    const found = await this.deps.db.listCollections({ type: 'collection' }, { nameOnly: false }).toArray();
    return found.map(({ name }) => name).filter((name) => !name.startsWith('system.'));
  }
}

/** @throws Error when a newer version of Parley has made the archive */
function requireKnownMigrations({ migration, parleyVersion }: Manifest): void {
  if (migration <= MIGRATIONS.length) return;
  throw new Error(
    `The archive was made by a newer version of Parley (${parleyVersion}, migration ${migration}). Restore it with that version.`,
  );
}
