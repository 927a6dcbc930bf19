import { join } from 'node:path';
import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { IdentityModule } from '../identity/module';
import type { Kernel } from '../kernel/module';
import { ATTACHMENT_FOLDERS, Attachments } from './attachments';
import { AVATAR_FOLDER, AvatarService } from './avatar.service';
import { LocalFileStorage } from './file-storage';
import { ImageProcessor } from './image-processor';
import { StorageUsage } from './storage-usage';
import { UploadFolder } from './upload-folder';
import { UploadSpool } from './upload-spool';
import { ABANDONED_INTERVAL_MS, SWEEP_INTERVAL_MS, UploadSweeper } from './upload-sweeper';
import { UploadService, type UploadLimits } from './upload.service';

export type FilesModule = ReturnType<typeof createFiles>;

export function createFiles(
  kernel: Kernel,
  { audit }: AuditModule,
  { access, writes }: AccessModule,
  { sessions, tokens }: IdentityModule,
  settings: { folder: string; uploads: UploadLimits },
) {
  const { collections, transactions, lifecycle, jobs, logger } = kernel;
  const spool = new UploadSpool(join(settings.folder, 'tmp'));
  const folders = [AVATAR_FOLDER, ...ATTACHMENT_FOLDERS];
  const storage = new LocalFileStorage(settings.folder, spool.folder, folders);
  const uploadFolder = new UploadFolder(settings.folder, spool.folder, storage, folders, collections);
  const attachments = new Attachments(collections, transactions, storage, logger);
  const images = new ImageProcessor();
  const avatars = new AvatarService({ ...kernel, writes, audit, images, storage });
  const uploads = new UploadService({
    ...kernel,
    access,
    sessions,
    tokens,
    images,
    attachments,
    storage,
    settings: settings.uploads,
  });
  const sweeper = new UploadSweeper(collections, transactions, attachments, storage, spool.folder);
  lifecycle.register('file storage', storage);
  lifecycle.register('upload folder', uploadFolder);
  jobs.add({
    name: 'temporary_files',
    intervalMs: SWEEP_INTERVAL_MS,
    scope: 'node',
    run: (signal) => sweeper.removeTemporary(signal),
  });
  jobs.add({
    name: 'abandoned_uploads',
    intervalMs: ABANDONED_INTERVAL_MS,
    scope: 'cluster',
    run: (signal) => sweeper.removeAbandoned(signal),
  });
  jobs.add({
    name: 'files_left_behind',
    intervalMs: SWEEP_INTERVAL_MS,
    scope: 'cluster',
    run: (signal) => sweeper.removeLeftBehind(signal),
  });
  return {
    spool,
    storage,
    storageUsage: new StorageUsage(storage),
    uploadFolder,
    attachments,
    avatars,
    uploads,
    sweeper,
  };
}
