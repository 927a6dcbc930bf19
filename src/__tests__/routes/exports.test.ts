import { ObjectId, type CommandStartedEvent } from 'mongodb';
import { get, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { refused } from '../fixtures/accounts';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';
import { until } from '../fixtures/until';

let server: TestServer;
let root: Person;
let groupId: string;
let channelId: string;
/** The reads of messages, beside the first of each cursor; and the cursors that were closed before their end. */
let reads = 0;
let closed = 0;

/** So much that network buffers, which grow to many megabytes on some machines, take less than half of it. */
const BODY = 'x'.repeat(8000);
const MESSAGES = 5000;

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true });
  const { api, context } = server;
  root = await signUp(api, 'root');
  ({ groupId, channelId } = await createRoom(api, root));
  const path = `/api/channels/${channelId}/messages`;
  await api.post(path, { clientMessageId: 'm', body: 'First' }, root.token);
  const { messages } = context.database.collections;
  const sent = (await messages.findOne({}))!;
  for (let seq = 2; seq <= MESSAGES; seq += 1000) {
    await messages.insertMany(
      Array.from({ length: Math.min(1000, MESSAGES - seq + 1) }, (_, index) => ({
        ...sent,
        _id: new ObjectId(),
        clientMessageId: `m${seq + index}`,
        seq: seq + index,
        revision: seq + index,
        body: BODY,
      })),
    );
  }
  context.database.db.client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
    if (commandName === 'getMore' && command['collection'] === 'messages') reads++;
    if (commandName === 'killCursors' && command['killCursors'] === 'messages') closed++;
  });
});
afterAll(() => server.close());

function open(path: string, { token } = root): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${server.url}${path}`, { headers: { authorization: `Bearer ${token}` } }, resolve).on(
      'error',
      reject,
    );
  });
}

async function linesOf(path: string): Promise<any[]> {
  const response = await open(path);
  expect(response.statusCode).toBe(200);
  expect(response.headers['content-type']).toBe('application/x-ndjson');
  const lines: any[] = [];
  for await (const line of createInterface({ input: response })) lines.push(JSON.parse(line));
  return lines;
}

it('gives each account, group and channel as a line', async () => {
  expect(await linesOf('/api/admin/export/users')).toMatchObject([
    { id: root.id, username: root.username, state: 'active', role: 'super_admin' },
  ]);
  expect(await linesOf('/api/admin/export/groups')).toMatchObject([{ id: groupId }]);
  expect(await linesOf('/api/admin/export/channels')).toMatchObject([{ id: channelId, seq: 1 }]);
});

it('gives the messages of a channel in their order, or all; none of a channel that there is not', async () => {
  const lines = await linesOf(`/api/admin/export/messages?channelId=${channelId}`);
  expect(lines.map(({ seq }) => seq)).toEqual(Array.from({ length: MESSAGES }, (_, index) => index + 1));
  expect(lines[0].body).toBe('First');
  expect(await server.api.get(`/api/admin/export/messages?channelId=${root.id}`, root.token)).toMatchObject(
    refused(404, 'not_found'),
  );
  const { token } = await signUp(server.api);
  for (const what of ['users', 'groups', 'channels', 'messages']) {
    expect(await server.api.get(`/api/admin/export/${what}`, token)).toMatchObject(refused(403, 'forbidden'));
  }
});

it('reads no further than a client takes, and stops when it has gone', async () => {
  const whole = MESSAGES / 200;
  reads = 0;
  const response = await open('/api/admin/export/messages');
  // It takes the first bytes and no more.
  await new Promise((resolve) => response.once('readable', resolve));
  await until(() => reads > 0);
  // What the network takes by itself it has taken after so many calls of others.
  for (let call = 0; call < 100; call++) await server.api.get('/api/auth/me', root.token);
  expect(reads).toBeLessThan(whole / 2);
  const before = closed;
  response.destroy();
  await until(() => closed > before);
  const after = reads;
  await linesOf('/api/admin/export/users');
  expect(reads).toBe(after);
});
