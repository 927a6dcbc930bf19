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
import { UploadSweeper } from './upload-sweeper';
import { UploadService, type UploadLimits } from './upload.service';

export type FilesModule = ReturnType<typeof createFiles>;

export function createFiles(
  kernel: Kernel,
  { audit }: AuditModule,
  { access, writes }: AccessModule,
  { sessions, tokens }: IdentityModule,
  settings: { folder: string; uploads: UploadLimits },
) {
  const { collections, transactions, lifecycle, logger } = kernel;
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
  const sweeper = new UploadSweeper(collections, transactions, attachments, storage, spool.folder, logger);
  lifecycle.register('file storage', storage);
  lifecycle.register('upload folder', uploadFolder);
  lifecycle.register('upload sweeper', sweeper);
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
