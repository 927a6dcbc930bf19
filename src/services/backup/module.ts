import type { Database } from '../../db/mongodb';
import { deriveEncryptionKey } from '../../utils/encryption';
import type { AuditModule } from '../audit/module';
import type { FilesModule } from '../files/module';
import type { Kernel } from '../kernel/module';
import { BackupService } from './backup.service';
import { CHECK_INTERVAL_MS, ScheduledBackups, type BackupSettings } from './scheduled-backups';

export function createBackup(
  kernel: Kernel,
  { audit }: AuditModule,
  { storage, fileHold }: Pick<FilesModule, 'storage' | 'fileHold'>,
  { db, isEmbedded }: Pick<Database, 'db' | 'isEmbedded'>,
  settings: BackupSettings & { encryptionKey: string },
) {
  const encryptionKeyId = encryptionKeyIdOf(settings.encryptionKey);
  const backups = new BackupService({
    db,
    isEmbedded,
    // A script may make a backup at the same time.
    isSole: false,
    storage,
    fileHold,
    encryptionKeyId,
  });
  const { schedule } = settings;
  if (schedule) {
    const scheduled = new ScheduledBackups({ ...settings, schedule }, { ...kernel, backups, audit });
    kernel.jobs.add({
      name: 'scheduled_backup',
      intervalMs: CHECK_INTERVAL_MS,
      scope: 'cluster',
      run: (signal) => scheduled.run(signal),
    });
  }
  return { backups };
}

/** Identifies an ENCRYPTION_KEY without revealing it, so that a restore notices another one. */
export function encryptionKeyIdOf(secret: string): string {
  return deriveEncryptionKey(secret, 'backup').id;
}
