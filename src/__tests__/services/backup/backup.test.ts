import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Long, MongoServerError } from 'mongodb';
import { problemsOf, readArchive } from '../../fixtures/backups';
import { sendMessage } from '../../fixtures/messages';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { filesOf, upload } from '../../fixtures/uploads';
import { until } from '../../fixtures/until';
import { BackupService, type BackupOptions } from '../../../services/backup/backup.service';
import { consistencyOf, readConsistently } from '../../../services/backup/document-reader';
import { ScheduledBackups } from '../../../services/backup/scheduled-backups';
import { METRICS } from '../../../services/kernel/metrics';
import { Telemetry } from '../../../services/kernel/telemetry';
import { nextTime, parseSchedule } from '../../../utils/schedule';

let server: TestServer;
let ada: Person;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ada = await signUp(server.api, 'ada');
  ({ channelId } = await createRoom(server.api, ada));
});
afterAll(() => server.close());

const pathOf = (name: string = randomUUID()) => join(server.context.config.dataDir, `${name}.tar`);

/** Makes a backup. @param onFile runs before each file is read: the documents have been read by then. */
async function backUp(options: Partial<BackupOptions> = {}, onFile: () => Promise<void> = async () => {}) {
  const { database, services } = server.context;
  const { storage, fileHold } = services;
  const backups = new BackupService({
    db: database.db,
    isEmbedded: false,
    isSole: false,
    storage: { open: (key) => onFile().then(() => storage.open(key)) },
    fileHold,
    encryptionKeyId: 'abc',
  });
  return backups.create({ path: pathOf(), ...options });
}

describe('a backup', () => {
  it('has the files of messages that are deleted while it runs, and they are deleted later', async () => {
    const { uploadCleanup } = server.context.services;
    const attached = await upload(server.api, ada, 'the text of a file', 'file.txt');
    const message = await sendMessage(server.api, channelId, ada, 'file', { attachmentIds: [attached.id] });
    let isDeleted = false;
    const archive = await backUp({}, async () => {
      if (isDeleted) return;
      isDeleted = true;
      const { status } = await server.api.call('delete', `/api/messages/${message.id}`, { token: ada.token });
      expect(status).toBeLessThan(300);
      await sendMessage(server.api, channelId, ada, 'after the documents were read');
    });
    expect(isDeleted).toBe(true);
    const contents = await readArchive(archive!.path);
    expect(problemsOf(contents)).toEqual([]);
    expect(contents.files.get(`files/${attached.id}`)?.toString()).toBe('the text of a file');
    expect(contents.manifest.files.count).toBe(1);

    const left = await filesOf(server, attached);
    expect(left).toHaveLength(1);
    const old = new Date(Date.now() - 48 * 3600_000);
    await utimes(join(server.context.config.uploadDir, 'files', left[0]!), old, old);
    await uploadCleanup.removeUnreferenced();
    expect(await filesOf(server, attached)).toEqual([]);
  });

  it('does not delay the deletion of files when it has ended, also with an error', async () => {
    const failed = backUp({ path: join(pathOf('no'), 'such', 'folder.tar') });
    await expect(failed).rejects.toMatchObject({ code: 'ENOENT' });
    const attached = await upload(server.api, ada, 'another text', 'file.txt');
    await server.api.call('delete', `/api/upload/${attached.id}`, { token: ada.token });
    expect(await filesOf(server, attached)).toEqual([]);
  });

  it('names files that are missing in the storage, and is made all the same', async () => {
    const attached = await upload(server.api, ada, 'a lost text', 'file.txt');
    await rm(join(server.context.config.uploadDir, 'files', attached.id));
    const archive = await backUp();
    expect(archive!.manifest.missingFiles).toEqual({ count: 1, keys: [`files/${attached.id}`] });
    await server.api.call('delete', `/api/upload/${attached.id}`, { token: ada.token });
  });

  it('is refused while another one runs, and stops when it is told to', async () => {
    const attached = await upload(server.api, ada, 'some text', 'file.txt');
    const stopping = new AbortController();
    const path = pathOf('stopped');
    const first = backUp({ path, signal: stopping.signal }, async () => {
      await expect(backUp()).rejects.toThrow(/^Another backup is running/);
      stopping.abort(new Error('told to stop'));
    });
    await expect(first).rejects.toThrow('told to stop');
    const names = await readdir(server.context.config.dataDir);
    expect(names.filter((name) => name.startsWith('stopped'))).toEqual([]);
    await server.api.call('delete', `/api/upload/${attached.id}`, { token: ada.token });
    expect(await backUp({ isNeeded: () => Promise.resolve(false) })).toBeUndefined();
  });

  it('is stopped when another process has taken over its lease', async () => {
    const { fileHold } = server.context.services;
    const { leases } = server.context.database.collections;
    const timers = jest.spyOn(globalThis, 'setInterval');
    await fileHold.during(async (lease) => {
      const [renew] = timers.mock.calls.at(-1)!;
      timers.mockRestore();
      expect(() => lease.check()).not.toThrow();
      await leases.updateOne({ _id: 'file_hold' }, { $set: { holder: 'another' } });
      renew();
      await until(() => {
        try {
          lease.check();
          return false;
        } catch (error) {
          expect(error).toEqual(new Error('Another process may have taken over the work.'));
          return true;
        }
      });
    });
    // Its lease is not released by the one that has lost it.
    expect(await fileHold.isHeld()).toBe(true);
    await leases.updateOne({ _id: 'file_hold' }, { $set: { heldUntil: new Date(0) } });
  });

  it('divides large collections into parts', async () => {
    const { db } = server.context.database;
    const large = Array.from({ length: 40 }, (_, n) => ({
      n: Long.fromNumber(n),
      text: 'x'.repeat(500_000),
    }));
    await db.collection('large').insertMany(large);
    const archive = await backUp();
    expect(archive!.manifest.collections['large']).toMatchObject({ documents: 40, parts: 3 });
    expect((await readArchive(archive!.path)).documents['large']).toHaveLength(40);
    await db.collection('large').drop();
  });
});

describe('documents are read', () => {
  it.each([
    ['snapshot', { setName: 'rs', maxWireVersion: 13 }],
    ['snapshot', { msg: 'isdbgrid', maxWireVersion: 21 }],
    ['transaction', { setName: 'rs', maxWireVersion: 9 }],
    ['stopped', { maxWireVersion: 21 }],
  ])('by %s from a server that says %j', (expected, hello) => {
    expect(consistencyOf(hello)).toBe(expected);
  });

  it.each(['snapshot', 'transaction'] as const)(
    'as they were at the first read, by %s',
    async (consistency) => {
      const { db } = server.context.database;
      const [one, two] = [db.collection(`${consistency}_one`), db.collection(`${consistency}_two`)];
      await Promise.all([one.insertOne({ n: 1 }), two.insertOne({ n: 1 })]);
      await readConsistently(db, consistency, async (reader) => {
        const read = async (name: string) => {
          let count = 0;
          for await (const _ of reader.documents(name, {})) count++;
          return count;
        };
        expect(await read(one.collectionName)).toBe(1);
        await Promise.all([one.insertOne({ n: 2 }), two.insertOne({ n: 2 })]);
        expect([await read(one.collectionName), await read(two.collectionName)]).toEqual([1, 1]);
      });
      await Promise.all([one.drop(), two.drop()]);
    },
  );

  it('only while no node runs, from a server without snapshots', async () => {
    // The node of this server has a lease.
    await expect(backUp({ consistency: 'stopped' })).rejects.toThrow(
      /is not a replica set, so it has no snapshots: stop all nodes/,
    );
    const { db, collections } = server.context.database;
    const nodes = await collections.nodes.find().toArray();
    await collections.nodes.deleteMany({});
    const began = readConsistently(
      db,
      'stopped',
      async () => void (await collections.nodes.insertMany(nodes)),
    );
    await expect(began).rejects.toThrow('A node of Parley was started during the backup');
    await collections.nodes.deleteMany({});
    expect((await backUp({ consistency: 'stopped' }))!.manifest.consistency).toBe('stopped');
    await collections.nodes.insertMany(nodes).catch(() => undefined);
  });

  it.each([
    ['snapshot', 239, /minSnapshotHistoryWindowInSeconds: 3600/],
    ['snapshot', 246, /Run the backup again/],
    ['transaction', 251, /transactionLifetimeLimitSeconds: 3600/],
  ] as const)(
    'with an error that says what to do when %s fails with code %d',
    async (consistency, code, message) => {
      const failed = readConsistently(server.context.database.db, consistency, () =>
        Promise.reject(new MongoServerError({ message: 'failed', code })),
      );
      await expect(failed).rejects.toThrow(message);
    },
  );
});

describe('scheduled backups', () => {
  it.each([
    ['6h', '2026-03-01T10:00:00Z', '2026-03-01T12:00:00Z', '2026-03-01T16:00:00Z'],
    ['90m', undefined, '2026-03-01T12:00:00Z', '2026-03-01T12:00:00Z'],
    ['1d', '2026-01-01T00:00:00Z', '2026-03-01T12:00:00Z', '2026-01-02T00:00:00Z'],
    ['03:30', undefined, '2026-03-01T03:00:00Z', '2026-03-01T03:30:00Z'],
    ['03:30', undefined, '2026-03-01T03:30:00Z', '2026-03-02T03:30:00Z'],
    ['03:30', '2026-03-01T03:30:01Z', '2026-03-01T12:00:00Z', '2026-03-02T03:30:00Z'],
    ['03:30', '2026-02-20T03:30:01Z', '2026-03-01T12:00:00Z', '2026-02-21T03:30:00Z'],
  ])('%s after %s are due, at %s, at %s', (text, last, now, due) => {
    const next = nextTime(
      parseSchedule(text)!,
      last === undefined ? undefined : new Date(last),
      new Date(now),
    );
    expect(next).toEqual(new Date(due));
  });

  it('are made once for all nodes, recorded in the audit log, and removed when there are newer ones', async () => {
    const { database, services, config, logger } = server.context;
    const folder = join(config.dataDir, 'scheduled');
    await mkdir(folder);
    const foreign = ['notes.txt', 'parley-2026-01-01T000000Z.tar'];
    const abandoned = 'parley-scheduled-2026-01-01T000000Z.tar.partial';
    for (const name of [...foreign, abandoned]) await writeFile(join(folder, name), 'x');
    const old = new Date(Date.now() - 2 * 3600_000);
    await utimes(join(folder, abandoned), old, old);
    let now = Date.parse('2026-03-01T12:00:00.500Z');
    const telemetry = new Telemetry();
    const nodes = [telemetry, new Telemetry()].map(
      (own) =>
        new ScheduledBackups(
          { folder, keep: 2, schedule: { everyMs: 6 * 3600_000 } },
          {
            collections: database.collections,
            backups: services.backups,
            audit: services.audit,
            telemetry: own,
            clock: { now: () => now },
            logger,
          },
        ),
    );
    const { signal } = new AbortController();
    const runAll = () => Promise.all(nodes.map((node) => node.run(signal)));
    const archives = async () => (await readdir(folder)).filter((name) => !foreign.includes(name)).sort();
    const names = ['12', '18', '00'].map((hour, day) => {
      const date = `2026-03-0${day === 2 ? 2 : 1}`;
      return `parley-scheduled-${date}T${hour}0000Z.tar`;
    });
    for (let count = 1; count <= 3; count++) {
      const dueTimes = (await runAll()).map((due) => due.getTime());
      // The one that has not made it looks again soon, or knows already when the next one is due.
      expect(Math.max(...dueTimes)).toBe(now + 6 * 3600_000);
      expect(await runAll()).toEqual([new Date(now + 6 * 3600_000), new Date(now + 6 * 3600_000)]);
      expect(await archives()).toEqual(names.slice(Math.max(0, count - 2), count));
      now += 6 * 3600_000;
    }
    expect((await readdir(folder)).sort()).toEqual([...foreign, ...names.slice(1)].sort());
    expect(problemsOf(await readArchive(join(folder, names[2]!)))).toEqual([]);
    const entries = await database.collections.auditLog
      .find({ action: 'backup.created' })
      .sort({ seq: 1 })
      .toArray();
    expect(entries.map(({ actorId, address, details }) => [actorId, address, details['file']])).toEqual(
      names.map((name) => [null, 'schedule', name]),
    );
    const lastAt = (now - 6 * 3600_000) / 1000;
    expect(await telemetry.seriesOf(METRICS.backupLastSuccess.name)).toMatchObject([{ value: lastAt }]);
    expect(await telemetry.seriesOf(METRICS.backupDue.name)).toMatchObject([{ value: now / 1000 }]);

    // A failure is reported, nothing old is removed, and the backup stays due.
    jest.spyOn(services.fileHold, 'during').mockRejectedValueOnce(new Error('no space'));
    await expect(nodes[0]!.run(signal)).rejects.toThrow('no space');
    expect(await archives()).toEqual(names.slice(1));
    await nodes[0]!.run(signal);
    expect(await archives()).toHaveLength(2);
    expect(await archives()).not.toContain(names[1]);
  });
});
