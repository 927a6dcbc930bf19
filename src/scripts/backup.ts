import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BackupService } from '../services/backup/backup.service';
import { fileTime } from '../services/backup/scheduled-backups';
import { openSite } from './open-site';
import { Progress } from './progress';

const HELP = `Writes all documents and files of the site to one archive. The server may run meanwhile.

  npm run backup                   writes to a new file in BACKUP_DIR
  npm run backup -- --output FILE

Whoever has the archive can read everything in it, except what ENCRYPTION_KEY encrypts. It does not contain ENCRYPTION_KEY
and JWT_SECRET: keep copies of them elsewhere. docs/backup.md has more.`;

const { values } = parseArgs({
  options: { output: { type: 'string' }, help: { type: 'boolean', default: false } },
});

async function main(): Promise<void> {
  const site = await openSite(true);
  const { config, connection, storage, fileHold, encryptionKeyId, audit } = site;
  const progress = new Progress();
  const stopping = new AbortController();
  const stop = () => stopping.abort(new Error('The backup was interrupted.'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const { db } = connection;
    if (!(await db.collection('users').findOne({}, { projection: { _id: 1 } }))) {
      throw new Error('The database has no accounts. Check DATA_DIR, MONGODB_URI and MONGODB_DATABASE.');
    }
    const path = resolve(values.output ?? join(config.backups.folder, `parley-${fileTime(new Date())}.tar`));
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const isEmbedded = config.database.uri === undefined;
    const isSole = connection.store !== undefined;
    const backups = new BackupService({ db, isEmbedded, isSole, storage, fileHold, encryptionKeyId });
    const archive = await backups.create({
      path,
      signal: stopping.signal,
      onProgress: ({ phase, done, total }) => progress.show(phase.padEnd(9), done, total),
    });
    progress.stop();
    const { size, manifest } = archive!;
    await audit.record({
      action: 'backup.created',
      actorId: null,
      targetId: null,
      address: 'console',
      details: { file: basename(path), bytes: String(size) },
    });
    const documents = Object.values(manifest.collections).reduce((sum, each) => sum + each.documents, 0);
    console.log(`${path}\n${documents} documents, ${manifest.files.count} files, ${size} bytes.`);
    const { count, keys } = manifest.missingFiles;
    if (count > 0) {
      console.error(
        `Warning: ${count} files are missing in ${config.uploadDir}, such as ${keys[0]}. They are not in the archive.`,
      );
    }
  } finally {
    progress.stop();
    await site.close();
  }
}

if (values.help) {
  console.log(HELP);
} else {
  main().catch((error: unknown) => {
    console.error((error as Error).message);
    process.exitCode = 1;
  });
}
