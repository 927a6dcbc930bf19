import { createApi } from '../fixtures/api';
import { createRoom, signUp } from '../fixtures/people';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';
import { connect } from '../fixtures/sockets';
import { download, upload } from '../fixtures/uploads';

afterAll(cleanUp);

/** Messages with a file each. */
const COUNT = 40;

test('kill -9 while messages with files are sent: sent again, each is there once, with its file', async () => {
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
