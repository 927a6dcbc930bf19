import { randomBytes, randomUUID } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { login } from '../fixtures/accounts';
import { createApi, type Api } from '../fixtures/api';
import { problemsOf, readArchive, readDatabase } from '../fixtures/backups';
import { setAvatar } from '../fixtures/images';
import { sendMessage } from '../fixtures/messages';
import { createRoom, PASSWORD, signUp, type Person } from '../fixtures/people';
import { cleanUp, runScript, spawnServer, temporaryFolder } from '../fixtures/process';
import { codeOf } from '../fixtures/totp';
import { download, upload } from '../fixtures/uploads';

afterAll(cleanUp);

/** The keys of the site, which an administrator keeps beside the archive. */
const KEYS = { JWT_SECRET: randomUUID(), ENCRYPTION_KEY: randomUUID() };

/** The data, the uploads and the backups of one server. */
interface Site {
  folder: string;
  settings: Record<string, string>;
}

async function newSite(settings: Record<string, string> = {}): Promise<Site> {
  const folder = await temporaryFolder();
  return { folder, settings: { ...KEYS, UPLOAD_DIR: join(folder, 'uploads'), ...settings } };
}

const startSite = ({ folder, settings }: Site) =>
  spawnServer({ DATA_DIR: folder, LINK_PREVIEWS: 'false', ...settings });

const run = (
  name: string,
  parameters: string[],
  { folder, settings }: Site,
  more: Record<string, string> = {},
) => runScript(name, parameters, folder, { ...settings, ...more });

async function backUp(site: Site, file: string = randomUUID()): Promise<string> {
  const path = join(site.folder, 'backups', `${file}.tar`);
  const ended = await run('backup', ['--output', path], site);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout).toContain(path);
  return path;
}

const restore = (path: string, site: Site, ...parameters: string[]) =>
  run('restore', [path, ...parameters], site);

const RESTORED = {
  code: 0,
  stdout: expect.stringMatching(/\nRestored \d+ documents, \d+ files\.$/),
  stderr: '',
};

/** Makes a script kill itself the first time that it moves a file to a path with this text in it. */
async function killedAt(text: string): Promise<Record<string, string>> {
  const preload = join(await temporaryFolder(), 'kill.cjs');
  await writeFile(
    preload,
    `const fs = require('node:fs/promises'); const rename = fs.rename;
     fs.rename = (from, to) => {
       if (String(to).includes(${JSON.stringify(text)})) process.kill(process.pid, 'SIGKILL');
       return rename(from, to);
     };`,
  );
  return { NODE_OPTIONS: `--require ${preload}` };
}

describe('a site that is backed up while it is used', () => {
  let site: Site;
  let ada: Person;
  let bob: Person;
  let secret: string;
  let channelId: string;
  let file: { id: string };
  let sent: number;
  /** An archive of the last state of the site, which is stopped. */
  let archive: string;
  /** A site with the first of the earlier archives, which the third test restores. */
  let full: Site;
  /** Archives that were made under traffic. */
  const earlier: string[] = [];
  const content = Buffer.from(randomBytes(200_000).toString('hex'));

  /** Sends, uploads, deletes and signs up until `isOver`. */
  async function useSite(api: Api, isOver: () => boolean): Promise<void> {
    const chat = async () => {
      while (!isOver()) await sendMessage(api, channelId, ada, 'under traffic');
    };
    const files = async () => {
      while (!isOver()) {
        const { id } = await upload(api, bob, randomBytes(30_000).toString('hex'), 'data.txt');
        const message = await sendMessage(api, channelId, bob, 'with a file', { attachmentIds: [id] });
        const { status } = await api.call('delete', `/api/messages/${message.id}`, { token: bob.token });
        expect(status).toBeLessThan(300);
        await setAvatar(api, bob);
      }
    };
    const people = async () => {
      while (!isOver()) {
        const person = await signUp(api, 'guest');
        await createRoom(api, person);
      }
    };
    await Promise.all([chat(), chat(), files(), files(), people()]);
  }

  beforeAll(async () => {
    site = await newSite({ THROTTLE_ENABLED: 'false' });
    const server = await startSite(site);
    const api = await createApi(await server.listening());
    ada = await signUp(api, 'ada');
    bob = await signUp(api, 'bob');
    ({ channelId } = await createRoom(api, ada, [bob]));
    file = await upload(api, ada, content, 'large.txt');
    await sendMessage(api, channelId, ada, 'with a large file', { attachmentIds: [file.id] });
    await sendMessage(api, channelId, ada, 'zebra');
    ({ secret } = (await api.post('/api/auth/totp/setup', { password: PASSWORD }, bob.token)).body);
    expect((await api.post('/api/auth/totp/enable', { code: await codeOf(secret) }, bob.token)).status).toBe(
      200,
    );

    let isOver = false;
    const traffic = useSite(api, () => isOver);
    try {
      for (const name of ['one', 'two', 'three']) earlier.push(await backUp(site, name));
    } finally {
      isOver = true;
      await traffic;
    }
    sent = (await api.get(`/api/channels/${channelId}`, ada.token)).body.channel.seq;
    await server.end('SIGTERM');
    archive = await backUp(site, 'final');
  }, 120_000);

  it('has consistent archives', async () => {
    const counts: number[] = [];
    for (const path of [...earlier, archive]) {
      const contents = await readArchive(path);
      expect(problemsOf(contents)).toEqual([]);
      counts.push(contents.documents['messages']!.length);
    }
    // There was traffic, and each archive has the state of its own time.
    expect(counts).toEqual([...counts].sort((one, other) => one - other));
    expect(new Set(counts).size).toBe(counts.length);
  });

  it('moves from the embedded store to a MongoDB server and back without any change', async () => {
    const original = await readArchive(archive);
    const MONGODB_DATABASE = `backup_${randomUUID().slice(0, 8)}`;
    const uri = process.env['TEST_MONGODB_URI']!;
    const moved = await newSite({ MONGODB_URI: uri, MONGODB_DATABASE });
    expect(await restore(archive, moved)).toEqual(RESTORED);
    const client = await new MongoClient(uri).connect();
    const db = client.db(MONGODB_DATABASE);
    expect(await readDatabase(db)).toEqual(original.documents);
    expect((await db.collection('messages').indexes()).map(({ name }) => name)).toContain('channel_text');

    const back = await newSite();
    const fromMongo = await backUp(moved);
    await db.dropDatabase();
    await client.close();
    const second = await readArchive(fromMongo);
    expect(second.manifest.database).toMatchObject({ kind: 'mongodb', name: MONGODB_DATABASE });
    expect(await restore(fromMongo, back)).toEqual(RESTORED);
    const third = await readArchive(await backUp(back));
    for (const each of [second, third]) {
      expect(each.documents).toEqual(original.documents);
      expect([...each.files].sort()).toEqual([...original.files].sort());
    }

    const server = await startSite(back);
    const url = await server.listening();
    const api = await createApi(url);
    expect((await login(api, ada)).status).toBe(200);
    // The session of the device, and the second factor.
    expect((await api.post('/api/auth/refresh', { refreshToken: ada.refreshToken })).status).toBe(200);
    expect((await login(api, bob)).body.error.code).toBe('totp_required');
    const code = await codeOf(secret, 30);
    const { status, body } = await login(api, bob, { code });
    expect([status, body.user?.id]).toEqual([200, bob.id]);
    const token: string = body.accessToken;
    const history = await api.get(`/api/channels/${channelId}/messages`, token, { limit: 5 });
    expect(history.body.messages[0].seq).toBe(sent);
    const found = await api.get('/api/search/messages', token, { query: 'zebra' });
    expect(found.body.hits).toHaveLength(1);
    expect((await download({ url }, `/api/upload/${file.id}`, { token })).content.equals(content)).toBe(true);
    expect((await api.get('/api/client/verify', token)).body.drift).toEqual([]);
    await sendMessage(api, channelId, ada, 'after the restore');
    await server.end('SIGTERM');
    expect(await run('audit:verify', [], back)).toMatchObject({ code: 0 });
  }, 120_000);

  it('is not restored from an archive that is damaged, incomplete or of other keys, and nothing is written', async () => {
    const target = await newSite();
    const whole = await readFile(archive);
    const damaged = join(target.folder, 'damaged.tar');
    await writeFile(damaged, whole.subarray(0, -1));
    const refused = (stderr: RegExp) => ({ code: 1, stdout: '', stderr: expect.stringMatching(stderr) });
    expect(await restore(damaged, target)).toEqual(refused(/^The archive is incomplete/));
    whole[whole.indexOf('documents/messages.') + 512]! ^= 1;
    await writeFile(damaged, whole);
    expect(await restore(damaged, target)).toEqual(
      refused(/^The part documents\/messages\.000001\.bson\.gz is damaged/),
    );
    expect(await readdir(target.folder)).toEqual(['damaged.tar']);
    const other = { ...target, settings: { ...target.settings, ENCRYPTION_KEY: randomUUID() } };
    expect(await restore(archive, other)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^ENCRYPTION_KEY is not that of the site/),
    });
    expect(await run('restore', [archive, '--verify'], other)).toMatchObject({ code: 0, stderr: '' });
    expect(await restore(earlier[0]!, other, '--other-encryption-key')).toEqual(RESTORED);
    full = target;
  }, 120_000);

  it('replaces what another site has only when that is requested', async () => {
    const target = full;
    const refused = { code: 1, stderr: expect.stringMatching(/is not empty\. A restore with --replace/) };
    expect(await restore(archive, target)).toMatchObject(refused);
    const unconfirmed = { code: 1, stderr: expect.stringMatching(/^Standard input is not a terminal/) };
    expect(await restore(archive, target, '--replace')).toMatchObject(unconfirmed);
    const first = await readArchive(earlier[0]!);
    const unchanged = await readArchive(await backUp(target));
    expect(unchanged.documents).toEqual(first.documents);
    expect(await restore(archive, target, '--replace', '--yes')).toEqual(RESTORED);
    const [original, replaced] = [await readArchive(archive), await readArchive(await backUp(target))];
    expect(replaced.documents).toEqual(original.documents);
    expect([...replaced.files].sort()).toEqual([...original.files].sort());
    // The files of another database are never deleted.
    const foreign = await newSite({ UPLOAD_DIR: target.settings['UPLOAD_DIR']! });
    expect(await restore(archive, foreign, '--replace', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/has the files of another database/),
    });
  }, 120_000);

  it('leaves no file that looks whole when a backup is killed, and the next backup succeeds', async () => {
    const target = join(site.folder, 'killed');
    const path = join(target, 'killed.tar');
    const killed = await run('backup', ['--output', path], site, await killedAt('killed.tar'));
    expect(killed.code).toBe(null);
    expect((await readdir(target)).sort()).toEqual(['killed.tar.partial']);
    // It was killed at the last moment, so it lacks its name alone. With less of it, it lacks the seal.
    const partial = await readFile(`${path}.partial`);
    await writeFile(join(target, 'cut.tar'), partial.subarray(0, partial.length / 2));
    expect(await run('restore', [join(target, 'cut.tar'), '--verify'], site)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^The archive is incomplete/),
    });
    await backUp(site);
  }, 120_000);

  it('is recognised as incomplete after a restore was killed, and restored by the next one', async () => {
    const target = await newSite();
    const killed = await run('restore', [archive], target, await killedAt(join('uploads', 'files')));
    expect(killed.code).toBe(null);
    const incomplete =
      /The database "parley" is incomplete: the restore of .+\/final\.tar, begun at .+ Run the restore again/;
    const server = await startSite(target);
    expect(await server.exited).toMatchObject({ code: 1 });
    expect(server.stderr).toMatch(incomplete);
    for (const script of ['backup', 'migrate', 'audit:verify'])
      expect(await run(script, [], target)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(incomplete),
      });
    // Another archive may be chosen, too. Files that only the first one had are gone.
    await mkdir(join(target.folder, 'uploads', 'files'), { recursive: true });
    await copyFile(archive, join(target.folder, 'uploads', 'files', '0'.repeat(24)));
    expect(await restore(earlier[1]!, target)).toEqual(RESTORED);
    const [original, restored] = [await readArchive(earlier[1]!), await readArchive(await backUp(target))];
    expect(restored.documents).toEqual(original.documents);
    expect([...restored.files].sort()).toEqual([...original.files].sort());
    const started = await startSite(target);
    await started.listening();
    await started.end('SIGTERM');
  }, 120_000);

  it('is not restored over a server that runs', async () => {
    const server = await startSite(site);
    await server.listening();
    expect(await restore(archive, site, '--replace', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is in use by process \d+/),
    });
    await server.end('SIGTERM');
  }, 120_000);
});
