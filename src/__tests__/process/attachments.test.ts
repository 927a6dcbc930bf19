import { access, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createApi } from '../fixtures/api';
import { createRoom, signUp } from '../fixtures/people';
import { cleanUp, runScript, spawnServer, temporaryFolder } from '../fixtures/process';
import { connect } from '../fixtures/sockets';
import { download, upload } from '../fixtures/uploads';

afterAll(cleanUp);

/** Messages with a file each. */
const COUNT = 40;

test('kill -9 while messages with files are sent: after a retry each exists once, with its file', async () => {
  const folder = await temporaryFolder();
  const server = await spawnServer({ DATA_DIR: folder, THROTTLE_ENABLED: 'false' });
  const url = await server.listening();
  const api = await createApi(url);
  const ada = await signUp(api, 'ada');
  const { channelId } = await createRoom(api, ada);
  const texts = Array.from({ length: COUNT }, (_, index) => `file ${index}`);
  const files = await Promise.all(texts.map((text) => upload(api, ada, text, `${text}.txt`)));
  const messages = files.map(({ id }, index) => ({
    channelId,
    clientMessageId: `message-${index}`,
    body: '',
    attachmentIds: [id],
  }));
  const { socket } = await connect(url, ada.token, { reconnection: false });
  const begun = new Promise((resolve) => socket.once('message:created', resolve));
  for (const message of messages) socket.emit('message:send', message, () => undefined);
  await begun;
  await server.end('SIGKILL');
  socket.close();

  const again = await spawnServer({ DATA_DIR: folder, THROTTLE_ENABLED: 'false' });
  const urlAgain = await again.listening();
  const device = await connect(urlAgain, ada.token);
  const answers: any[] = await Promise.all(messages.map((message) => device.ask('message:send', message)));
  expect(answers.map(({ ok, data }) => ok && data.message.attachments)).toEqual(files.map((file) => [file]));
  const after = await createApi(urlAgain);
  const { body } = await after.get(`/api/channels/${channelId}/messages`, ada.token, { limit: 200 });
  expect(body.messages).toHaveLength(COUNT);
  for (const [index, { id }] of files.entries()) {
    const { content } = await download({ url: urlAgain }, `/api/upload/${id}`, ada);
    expect(content.toString()).toBe(texts[index]);
  }
  device.close();
  await again.end('SIGTERM');
}, 120_000);

describe('the upload folder', () => {
  /** Starts a server in a folder, calls a function and stops the server. @returns its output. */
  async function serve<Result>(
    settings: Record<string, string>,
    folder: string,
    work: (url: string) => Promise<Result>,
  ): Promise<{ result: Result; stdout: string }> {
    const server = await spawnServer({ THROTTLE_ENABLED: 'false', ...settings }, folder);
    const result = await work(await server.listening());
    await server.end('SIGTERM');
    return { result, stdout: server.stdout };
  }

  /** Registers a user who uploads a file. */
  const uploadNote = async (url: string) => {
    const api = await createApi(url);
    const ada = await signUp(api, 'ada');
    return { ada, path: `/api/upload/${(await upload(api, ada, 'kept', 'note.txt')).id}` };
  };

  it('stays in the data folder of an older version until it is moved', async () => {
    const folder = await temporaryFolder();
    const [former, current] = [join(folder, 'data', 'uploads'), join(folder, 'uploads')];
    const { result } = await serve({ UPLOAD_DIR: former }, folder, uploadNote);
    const read = async (url: string) => (await download({ url }, result.path, result.ada)).content.toString();

    const unmoved = await serve({}, folder, read);
    expect(unmoved.result).toBe('kept');
    expect(unmoved.stdout).toContain('"uploads stay in the data folder, because there are files');
    expect(unmoved.stdout).toContain(`  Uploads        ${former}\n`);
    await expect(access(current)).rejects.toThrow('ENOENT');

    await rename(former, current);
    const moved = await serve({}, folder, read);
    expect(moved.result).toBe('kept');
    expect(moved.stdout).not.toContain('uploads stay');
    expect(moved.stdout).toContain(`  Uploads        ${current}\n`);
  }, 120_000);

  it('belongs to one database: another database neither starts on its files nor deletes them', async () => {
    const folder = await temporaryFolder();
    const uploads = join(folder, 'uploads');
    await serve({}, folder, uploadNote);
    const files = await readdir(join(uploads, 'files'));
    expect(files).toHaveLength(1);

    const other = await temporaryFolder();
    const message =
      `UPLOAD_DIR ${uploads} has the files of another database. ` +
      'Set UPLOAD_DIR to a folder of its own, or empty that folder if its database is gone.';
    const server = await spawnServer({ DATA_DIR: other, UPLOAD_DIR: uploads });
    expect((await server.exited).code).toBe(1);
    expect(server.stderr).toBe(`Parley cannot start: upload folder: ${message}\n`);
    for (const [script, ...parameters] of [
      ['clear', '--yes'],
      ['seed', '--size=small'],
    ]) {
      const run = await runScript(script!, parameters, other, { UPLOAD_DIR: uploads });
      expect(run).toEqual({ code: 1, stdout: '', stderr: message });
    }
    expect(await readdir(join(uploads, 'files'))).toEqual(files);

    // The database of the folder may be cleared, and then the folder may be used by another one.
    const cleared = await runScript('clear', ['--yes'], join(folder, 'data'), { UPLOAD_DIR: uploads });
    expect(cleared).toMatchObject({ code: 0, stderr: '' });
    expect(cleared.stdout).toMatch(/^Deleted everything in the database "parley" in .+ and in .+uploads\.$/);
    expect(await readdir(join(uploads, 'files'))).toEqual([]);
    await serve({ DATA_DIR: other, UPLOAD_DIR: uploads }, folder, uploadNote);
  }, 120_000);
});
