import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LeaseTaken } from '../../db/exclusive-lease';
import type { Collections } from '../../db/collections';
import { isMissing } from '../../utils/disk';
import type { Logger } from '../../utils/logger';
import { nextTime, type Schedule } from '../../utils/schedule';
import type { AuditService } from '../audit/audit.service';
import { METRICS } from '../kernel/metrics';
import type { Telemetry } from '../kernel/telemetry';
import { PARTIAL } from './archive-writer';
import { verifyArchive } from './archive-verifier';
import type { BackupService } from './backup.service';

/** How often a node looks whether another one has made the backup, at least. */
export const CHECK_INTERVAL_MS = 10 * 60_000;
/** When to look again if another process makes a backup now. */
const BUSY_WAIT_MS = 60_000;
/** A running backup writes to its files all the time: those that were not written for so long are of a killed process. */
const ABANDONED_MS = 60 * 60_000;

const PREFIX = 'parley-scheduled-';
const SCHEDULED = /^parley-scheduled-\d{4}-\d{2}-\d{2}T\d{6}Z\.tar$/;

/** Where and when backups are made. */
export interface BackupSettings {
  folder: string;
  schedule: Schedule | undefined;
  /** The number of scheduled archives that are kept. */
  keep: number;
}

/** The dependencies of ScheduledBackups. */
export interface ScheduledBackupsDeps {
  collections: Pick<Collections, 'scheduledBackup'>;
  backups: BackupService;
  audit: Pick<AuditService, 'record'>;
  telemetry: Telemetry;
  clock: { now(): number };
  logger: Pick<Logger, 'info' | 'warn'>;
}

/** Returns the time of a backup as part of a file name, which sorts by time. */
export function fileTime(time: Date): string {
  return time.toISOString().replace(/\.\d+/, '').replaceAll(':', '');
}

/**
 * Makes backups on a schedule, one for all nodes, and removes old ones. When the last one was made is in the database, so a
 * restart does not repeat it, and what was missed is made at the next start.
 */
export class ScheduledBackups {
  private last = { at: 0, bytes: 0, seconds: 0 };
  private dueAt = 0;

  constructor(
    private readonly settings: BackupSettings & { schedule: Schedule },
    private readonly deps: ScheduledBackupsDeps,
  ) {
    const { telemetry } = deps;
    telemetry.gauge(METRICS.backupLastSuccess).observe({}, () => this.last.at);
    telemetry.gauge(METRICS.backupDue).observe({}, () => this.dueAt);
    telemetry.gauge(METRICS.backupBytes).observe({}, () => this.last.bytes);
    telemetry.gauge(METRICS.backupDuration).observe({}, () => this.last.seconds);
  }

  /** Makes the backup that is due, if any. @returns when the next one is due. @throws Error when the backup fails. */
  async run(signal: AbortSignal): Promise<Date> {
    const due = await this.due();
    if (due.getTime() > this.deps.clock.now()) return due;
    const { folder } = this.settings;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await this.removeAbandoned();
    const startedAt = new Date(this.deps.clock.now());
    const path = join(folder, `${PREFIX}${fileTime(startedAt)}.tar`);
    try {
      const isStillDue = async () => (await this.due()).getTime() <= this.deps.clock.now();
      const archive = await this.deps.backups.create({ path, signal, isNeeded: isStillDue });
      if (archive) await this.completed(path, archive.size, startedAt);
    } catch (error) {
      if (error instanceof Error && error.cause instanceof LeaseTaken) {
        return new Date(this.deps.clock.now() + BUSY_WAIT_MS);
      }
      throw error;
    }
    return this.due();
  }

  private async due(): Promise<Date> {
    const { schedule } = this.settings;
    const last = await this.deps.collections.scheduledBackup.findOne({ _id: 'scheduled_backup' });
    if (last) this.last = { at: last.completedAt.getTime() / 1000, bytes: last.bytes, seconds: last.seconds };
    const due = nextTime(schedule, last?.startedAt, new Date(this.deps.clock.now()));
    this.dueAt = due.getTime() / 1000;
    return due;
  }

  private async completed(path: string, bytes: number, startedAt: Date): Promise<void> {
    const { collections, audit, clock, logger } = this.deps;
    // Old archives are removed only when there is a newer one that can be read.
    try {
      await verifyArchive(path);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    const completedAt = new Date(clock.now());
    const seconds = Math.max(0, completedAt.getTime() - startedAt.getTime()) / 1000;
    await collections.scheduledBackup.updateOne(
      { _id: 'scheduled_backup' },
      { $set: { startedAt, completedAt, bytes, seconds } },
      { upsert: true },
    );
    await audit.record({
      action: 'backup.created',
      actorId: null,
      targetId: null,
      address: 'schedule',
      details: { file: basename(path), bytes: String(bytes) },
    });
    logger.info({ path, bytes, seconds }, 'backup made');
    await this.removeOld();
  }

  /** Removes all scheduled archives of the folder but the newest. */
  private async removeOld(): Promise<void> {
    const { folder, keep } = this.settings;
    const archives = (await readdir(folder)).filter((name) => SCHEDULED.test(name)).sort();
    for (const name of archives.slice(0, -keep)) await rm(join(folder, name), { force: true });
  }

  /** Removes the files of backups that were interrupted. */
  private async removeAbandoned(): Promise<void> {
    const { folder } = this.settings;
    for (const name of await readdir(folder)) {
      if (!name.startsWith('parley-') || !name.endsWith(PARTIAL)) continue;
      const path = join(folder, name);
      const found = await stat(path).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
      if (found && found.mtimeMs < Date.now() - ABANDONED_MS) await rm(path, { force: true });
    }
  }
}
