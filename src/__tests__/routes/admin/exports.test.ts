import { ObjectId, type CommandStartedEvent } from 'mongodb';
import { randomBytes } from 'node:crypto';
import { createServer, get, type IncomingMessage, type RequestOptions } from 'node:http';
import { createInterface } from 'node:readline';
import { duplexPair } from 'node:stream';
import { z } from 'zod';
import { createApp } from '../../../app';
import { accountSchema } from '../../../models/admin/admin-user.model';
import { channelSchema } from '../../../models/channel.model';
import { sharedGroupSchema } from '../../../models/group.model';
import { messageSchema } from '../../../models/message.model';
import { refused } from '../../fixtures/accounts';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

let server: TestServer;
let root: Person;
let groupId: string;
let channelId: string;
/** The reads of messages, except the first of each cursor; and the cursors that were closed early. */
let reads = 0;
let closed = 0;

/** A text of 1000 characters that can hardly be compressed. */
const newBody = () => randomBytes(750).toString('base64');
const MESSAGES = 3000;

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
        body: newBody(),
      })),
    );
  }
  context.database.db.client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
    if (commandName === 'getMore' && command['collection'] === 'messages') reads++;
    if (commandName === 'killCursors' && command['killCursors'] === 'messages') closed++;
  });
});
afterAll(() => server.close());

function open(path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
  const headers = { ...options.headers, authorization: `Bearer ${root.token}` };
  return new Promise((resolve, reject) => {
    get(`${server.url}${path}`, { ...options, headers }, resolve).on('error', reject);
  });
}

async function recordsOf(path: string): Promise<any[]> {
  const response = await open(path);
  expect(response.statusCode).toBe(200);
  expect(response.headers['content-type']).toBe('application/x-ndjson');
  const records: any[] = [];
  for await (const line of createInterface({ input: response })) records.push(JSON.parse(line));
  return records;
}

it('writes each account, group and channel as one NDJSON record', async () => {
  const users = await recordsOf('/api/admin/export/users');
  z.array(accountSchema).parse(users);
  expect(users).toMatchObject([
    { id: root.id, username: root.username, state: 'active', role: 'super_admin' },
  ]);
  const groups = await recordsOf('/api/admin/export/groups');
  expect(z.array(sharedGroupSchema).parse(groups)).toMatchObject([{ id: groupId }]);
  const channels = await recordsOf('/api/admin/export/channels');
  expect(z.array(channelSchema).parse(channels)).toMatchObject([{ id: channelId, seq: 1 }]);
});

it('writes the messages of one channel in order, or of all channels; none of an unknown channel', async () => {
  const records = await recordsOf(`/api/admin/export/messages?channelId=${channelId}`);
  expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: MESSAGES }, (_, index) => index + 1));
  expect(z.array(messageSchema).parse(records)[0]!.body).toBe('First');
  expect(await server.api.get(`/api/admin/export/messages?channelId=${root.id}`, root.token)).toMatchObject(
    refused(404, 'not_found'),
  );
  const { token } = await signUp(server.api);
  for (const what of ['users', 'groups', 'channels', 'messages']) {
    expect(await server.api.get(`/api/admin/export/${what}`, token)).toMatchObject(refused(403, 'forbidden'));
  }
});

it.each([
  ['as it is', false],
  ['compressed', true],
])(
  'sends it %s, reads only as fast as the client receives, and stops when the client disconnects',
  async (_, compression) => {
    // The amount that a network buffers differs between machines, up to tens of megabytes. This connection between two
    // streams accepts as much as their buffers hold, about 16 kB each.
    const [near, far] = duplexPair();
    const { context } = server;
    const http = { ...context.config.http, compression };
    const listener = createServer(createApp({ ...context, config: { ...context.config, http } }));
    listener.emit('connection', far);
    const batches = MESSAGES / 200;
    reads = 0;
    const response = await open('/api/admin/export/messages', {
      createConnection: () => near,
      headers: { 'accept-encoding': 'gzip' },
    });
    expect(response.headers['content-encoding']).toBe(compression ? 'gzip' : undefined);
    await until(() => far.writableNeedDrain);
    // The server has time to continue reading while others are served.
    for (let call = 0; call < 50; call++) await server.api.get('/api/auth/me', root.token);
    expect(reads).toBeLessThan(batches / 2);
    const [before, taken] = [closed, reads];
    response.destroy();
    // Like a network when one end has disconnected.
    far.destroy();
    await until(() => closed > before);
    await recordsOf('/api/admin/export/users');
    expect(reads).toBe(taken);
  },
);
