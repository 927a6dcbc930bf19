import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

let server: TestServer;
let ada: Person;
let bruno: Person;
let groupId: string;
let channelId: string;
let device: Client;
let stranger: Client;

beforeAll(async () => {
  server = await startTestServer();
  const { api } = server;
  ({ ada, bruno } = await signUpAll(api, 'ada', 'bruno'));
  ({ groupId, channelId } = await createRoom(api, ada, [bruno]));
  device = await connect(server.url, bruno.token);
  stranger = await connect(server.url, ada.token);
});
afterAll(async () => {
  device.close();
  stranger.close();
  await server.close();
});

const path = (channel = channelId, thread?: string) =>
  `/api/client/drafts/${channel}${thread ? `?threadId=${thread}` : ''}`;
const save = (body: object, where = path()) => server.api.call('put', where, { token: bruno.token, body });
const list = async (): Promise<any[]> =>
  (await server.api.get('/api/client/drafts', bruno.token)).body.drafts;
const send = async (input: object, person = bruno) =>
  (await server.api.post(`/api/channels/${channelId}/messages`, input, person.token)).body.message;
const createChannel = async (name: string): Promise<string> =>
  (await server.api.post('/api/channels', { groupId, name }, ada.token)).body.channel.id;

describe('a draft', () => {
  it('is sent to all devices of its user, and to nobody else', async () => {
    const root = await send({ clientMessageId: randomUUID(), body: 'root' });
    expect((await save({ body: 'Hel' })).status).toBe(200);
    await save({ body: 'Hello' });
    await save({ body: 'In the thread' }, path(channelId, root.id));
    await device.waitFor('draft:changed', ({ draft }) => draft?.body === 'Hello');
    await device.waitFor('draft:changed', ({ threadId }) => threadId === root.id);
    expect(await list()).toMatchObject([
      { channelId, threadId: null, body: 'Hello', clientMessageId: null },
      { channelId, threadId: root.id, body: 'In the thread' },
    ]);
    expect((await server.api.get('/api/client/drafts', ada.token)).body.drafts).toEqual([]);

    expect((await server.api.delete(path(), bruno.token)).status).toBe(204);
    await device.waitFor('draft:changed', ({ threadId, draft }) => threadId === null && draft === null);
    expect((await server.api.delete(path(), bruno.token)).status).toBe(204);
    expect(await list()).toHaveLength(1);
    await server.api.delete(path(channelId, root.id), bruno.token);
    await device.waitFor('draft:changed', ({ threadId, draft }) => threadId === root.id && draft === null);
    const all = stranger.events.filter(({ event }) => event === 'draft:changed');
    expect(all).toEqual([]);
  });

  it('is deleted once it has been sent', async () => {
    const clientMessageId = randomUUID();
    await save({ body: 'To be sent', clientMessageId });
    // Another user with the same id does not affect it.
    await send({ clientMessageId, body: 'Of another' }, ada);
    expect(await list()).toHaveLength(1);
    await send({ clientMessageId, body: 'To be sent' });
    expect(await list()).toEqual([]);
    const { drafts } = server.context.database.collections;
    await until(async () => (await drafts.countDocuments({ userId: new ObjectId(bruno.id) })) === 0);
    const lastDraft = () => device.events.filter(({ event }) => event === 'draft:changed').at(-1)?.payload;
    await until(() => lastDraft()?.draft === null);
    expect(lastDraft()).toEqual({ channelId, threadId: null, draft: null });
  });

  it('is kept when its user has continued to write', async () => {
    const clientMessageId = randomUUID();
    await save({ body: 'First', clientMessageId });
    await save({ body: 'Second' });
    await send({ clientMessageId, body: 'First' });
    expect(await list()).toMatchObject([{ body: 'Second' }]);
    await server.api.delete(path(), bruno.token);
  });

  it('is visible as long as the channel is readable, and is deleted with it', async () => {
    const { drafts } = server.context.database.collections;
    const deletedChannel = await createChannel('doomed');
    await save({ body: 'Doomed' }, path(deletedChannel));
    await server.api.delete(`/api/channels/${deletedChannel}`, ada.token);
    expect(await drafts.countDocuments({ channelId: new ObjectId(deletedChannel) })).toBe(0);

    await save({ body: 'Hidden' });
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    expect(await list()).toEqual([]);
    expect((await save({ body: 'Hidden' })).status).toBe(404);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: bruno.id }, ada.token);
    expect(await list()).toMatchObject([{ body: 'Hidden' }]);
    expect((await save({ body: 'x' }, path(channelId, '0'.repeat(24)))).status).toBe(404);
  });

  it('is one of a limited number', async () => {
    const { drafts } = server.context.database.collections;
    const userId = new ObjectId(bruno.id);
    await drafts.deleteMany({ userId });
    await drafts.insertMany(
      Array.from({ length: 199 }, () => ({
        _id: new ObjectId(),
        userId,
        channelId: new ObjectId(),
        threadId: null,
        body: 'x',
        updatedAt: new Date(),
      })),
    );
    expect((await save({ body: 'The last one' })).status).toBe(200);
    const other = await createChannel('other');
    const refused = await save({ body: 'One too many' }, path(other));
    expect([refused.status, refused.body.error.code]).toEqual([409, 'too_many_drafts']);
    expect((await save({ body: 'In the place of another' })).status).toBe(200);
  });
});
