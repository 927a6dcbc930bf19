import { join } from 'node:path';
import type { Collections } from '../../db/collections';
import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { IdentityModule } from '../identity/module';
import type { Kernel } from '../kernel/module';
import { observeQueue } from '../kernel/observations';
import { ATTACHMENT_FOLDERS, Attachments } from './attachments';
import { AVATAR_FOLDER, AvatarService } from './avatar.service';
import { FileHold, withHold } from './file-hold';
import { LocalFileStorage } from './file-storage';
import { ImageProcessor } from './image-processor';
import { StorageUsage } from './storage-usage';
import { UploadFolder } from './upload-folder';
import { UploadMetrics } from './upload-metrics';
import { TemporaryUploads } from './temporary-uploads';
import { ABANDONED_INTERVAL_MS, CLEANUP_INTERVAL_MS, UploadCleanup } from './upload-cleanup';
import { UploadService, type UploadLimits } from './upload.service';

export type FilesModule = ReturnType<typeof createFiles>;

/** Constructs the storage of files, which scripts use without the other services. */
export function createStorage(folder: string, collections: Pick<Collections, 'databaseIdentity' | 'leases'>) {
  const temporaryUploads = new TemporaryUploads(join(folder, 'tmp'));
  const folders = [AVATAR_FOLDER, ...ATTACHMENT_FOLDERS];
  const fileHold = new FileHold(collections);
  const storage = withHold(new LocalFileStorage(folder, temporaryUploads.folder, folders), fileHold);
  const uploadFolder = new UploadFolder(folder, temporaryUploads.folder, storage, folders, collections);
  return { temporaryUploads, folders, fileHold, storage, uploadFolder };
}

export function createFiles(
  kernel: Kernel,
  { audit }: AuditModule,
  { access, writes }: AccessModule,
  { sessions, tokens }: IdentityModule,
  settings: { folder: string; uploads: UploadLimits },
) {
  const { collections, transactions, lifecycle, jobs, logger } = kernel;
  const { temporaryUploads, fileHold, storage, uploadFolder } = createStorage(settings.folder, collections);
  const attachments = new Attachments(collections, transactions, storage, logger);
  const images = new ImageProcessor();
  observeQueue(kernel.telemetry, 'images', images.queue);
  const uploadMetrics = new UploadMetrics(kernel.telemetry);
  const avatars = new AvatarService({ ...kernel, writes, audit, images, storage, uploadMetrics });
  const uploads = new UploadService({
    ...kernel,
    access,
    sessions,
    tokens,
    images,
    attachments,
    storage,
    uploadMetrics,
    settings: settings.uploads,
  });
  const uploadCleanup = new UploadCleanup(
    collections,
    transactions,
    attachments,
    storage,
    temporaryUploads.folder,
  );
  lifecycle.register('file storage', storage);
  lifecycle.register('upload folder', uploadFolder);
  jobs.add({
    name: 'temporary_files',
    intervalMs: CLEANUP_INTERVAL_MS,
    scope: 'node',
    run: (signal) => uploadCleanup.removeTemporary(signal),
  });
  jobs.add({
    name: 'abandoned_uploads',
    intervalMs: ABANDONED_INTERVAL_MS,
    scope: 'cluster',
    run: (signal) => uploadCleanup.removeAbandoned(signal),
  });
  jobs.add({
    name: 'files_left_behind',
    intervalMs: CLEANUP_INTERVAL_MS,
    scope: 'cluster',
    run: (signal) => uploadCleanup.removeUnreferenced(signal),
  });
  return {
    temporaryUploads,
    fileHold,
    storage,
    storageUsage: new StorageUsage(storage),
    uploadFolder,
    attachments,
    avatars,
    uploads,
    uploadCleanup,
  };
}
