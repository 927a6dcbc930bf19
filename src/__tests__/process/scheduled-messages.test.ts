import { createApi } from '../fixtures/api';
import { createRoom, signUp } from '../fixtures/people';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';
import { connect } from '../fixtures/sockets';
import { until } from '../fixtures/until';

afterAll(cleanUp);

/** Scheduled messages, all for the same time. */
const COUNT = 40;

test('kill -9 while scheduled messages are sent: after the restart each exists once', async () => {
  const folder = await temporaryFolder();
  const server = await spawnServer({ DATA_DIR: folder });
  const url = await server.listening();
  const api = await createApi(url);
  const ada = await signUp(api, 'ada');
  const { channelId } = await createRoom(api, ada);
  const { socket } = await connect(url, ada.token, { reconnection: false });
  const texts = Array.from({ length: COUNT }, (_, index) => `later ${index}`);
  const begun = new Promise((resolve) => socket.once('message:created', resolve));
  const path = '/api/client/scheduled-messages';
  const schedule = (body: string, sendAt: number) =>
    api.post(path, { channelId, body, sendAt: new Date(sendAt).toISOString() }, ada.token);
  const start = Date.now();
  const never = await schedule('never', start + 3_600_000);
  await api.delete(`${path}/${never.body.scheduledMessage.id}`, ada.token);
  // All are accepted before the first is due, however slow the machine is at the moment.
  const due = Date.now() + 2_000 + (COUNT / 2) * (Date.now() - start);
  for (const answer of await Promise.all(texts.map((text) => schedule(text, due)))) {
    expect(answer.status).toBe(201);
  }
  await begun;
  await server.end('SIGKILL');
  socket.close();

  const again = await spawnServer({ DATA_DIR: folder });
  const after = await createApi(await again.listening());
  const left = async () => {
    const { body } = await after.get('/api/client/scheduled-messages', ada.token);
    return body.scheduledMessages.length as number;
  };
  // Messages that the killed server had claimed become available when its lease expires.
  await until(async () => (await left()) === 0, 60_000);
  const history = await after.get(`/api/channels/${channelId}/messages`, ada.token, { limit: 200 });
  const sent = history.body.messages.map((message: { body: string }) => message.body);
  expect(sent.sort()).toEqual([...texts].sort());
  await again.end('SIGTERM');
}, 120_000);
