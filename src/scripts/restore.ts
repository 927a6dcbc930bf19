import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { verifyArchive, type VerifiedArchive } from '../services/backup/archive-verifier';
import { Restorer } from '../services/backup/restorer';
import { createLogger } from '../utils/logger';
import { confirm } from './confirm';
import { openSite } from './open-site';
import { Progress } from './progress';

const HELP = `Restores a backup into an empty database and an empty upload folder. Stop the server first.

  npm run restore -- FILE
  npm run restore -- FILE --verify          only checks the archive; no database is needed
  npm run restore -- FILE --replace         deletes the whole database and all uploaded files first; asks for confirmation
  npm run restore -- FILE --replace --yes   does not ask

The whole archive is checked before anything is written. A restore that was interrupted is repeated with the same command.
ENCRYPTION_KEY must be that of the site that made the archive. With --other-encryption-key another one is accepted: what it has
encrypted is lost, so users with a second factor need a recovery code or help from an administrator.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    verify: { type: 'boolean', default: false },
    replace: { type: 'boolean', default: false },
    yes: { type: 'boolean', default: false },
    'other-encryption-key': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw new Error('Name one archive; see --help.');
  const path = resolve(file);
  const progress = new Progress();
  try {
    const verified = await verifyArchive(path, (done, total) => progress.show('Checking ', done, total));
    progress.stop();
    const { createdAt, parleyVersion, collections, files } = verified.manifest;
    const documents = Object.values(collections).reduce((sum, each) => sum + each.documents, 0);
    const contents = `${documents} documents, ${files.count} files`;
    console.log(`The archive is intact: ${contents}, made at ${createdAt} by Parley ${parleyVersion}.`);
    if (values.verify) return;
    await restore(path, verified, progress);
    console.log(`Restored ${contents}.`);
  } finally {
    progress.stop();
  }
}

async function restore(path: string, verified: VerifiedArchive, progress: Progress): Promise<void> {
  const site = await openSite(false);
  try {
    const { config, connection, temporaryUploads, encryptionKeyId } = site;
    if (verified.manifest.encryptionKeyId !== encryptionKeyId && !values['other-encryption-key']) {
      throw new Error(
        'ENCRYPTION_KEY is not that of the site that made the archive. Set it (in development it is in the file ' +
          'encryption-key of DATA_DIR), or pass --other-encryption-key; see --help.',
      );
    }
    const restorer = new Restorer({
      ...site,
      db: connection.db,
      isSole: connection.store !== undefined,
      temporaryFolder: temporaryUploads.folder,
      logger: createLogger('warn'),
    });
    if (values.replace && !values.yes && (await restorer.targetState()) === 'in use') {
      const { db, client } = connection;
      const location = config.database.uri === undefined ? config.dataDir : client.options.hosts.join(', ');
      const where = `the database "${db.databaseName}" in ${location} and in ${config.uploadDir}`;
      if (!(await confirm(`Delete everything in ${where}? Type yes: `)))
        throw new Error('Nothing was changed.');
    }
    await restorer.restore({
      path,
      verified,
      replace: values.replace,
      onProgress: (done, total) => progress.show('Restoring', done, total),
    });
    progress.stop();
  } finally {
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
