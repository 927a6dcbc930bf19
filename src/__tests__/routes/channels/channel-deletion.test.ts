import { ObjectId } from 'mongodb';
import { createContext } from '../../../context';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

let server: TestServer;
let owner: Person;
let guest: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ owner, guest } = await signUpAll(server.api, 'owner', 'guest'));
});
afterAll(() => server.close());

const room = () => createRoom(server.api, owner, [guest]);
const get = (channelId: string, by: Person) => server.api.get(`/api/channels/${channelId}`, by.token);
const remove = (channelId: string) => server.api.delete(`/api/channels/${channelId}`, owner.token);
const send = (channelId: string, by: Person, clientMessageId = new ObjectId().toHexString()) =>
  server.api.post(`/api/channels/${channelId}/messages`, { clientMessageId, body: 'hello' }, by.token);
const notFound = { status: 404, body: { error: { code: 'not_found' } } };

describe('deleting a channel', () => {
  const messagesOf = (id: string) => {
    const { messages } = server.context.database.collections;
    return messages.countDocuments({ channelId: new ObjectId(id) });
  };
  const purges = () => server.context.database.collections.channelPurges;

  it('removes the channel and its messages, and frees its name', async () => {
    const { groupId, channelId } = await room();
    const { body } = await send(channelId, guest, 'kept');
    const answer = await remove(channelId);
    expect([answer.status, answer.body]).toEqual([204, {}]);
    for (const by of [owner, guest]) {
      expect(await get(channelId, by)).toMatchObject(notFound);
      expect(await send(channelId, by)).toMatchObject(notFound);
      const edit = server.api.patch(`/api/messages/${body.message.id}`, { body: 'x' }, by.token);
      expect(await edit).toMatchObject(notFound);
    }
    expect(await remove(channelId)).toMatchObject(notFound);
    expect((await server.api.post('/api/channels', { groupId, name: 'general' }, owner.token)).status).toBe(
      201,
    );
    await until(async () => (await messagesOf(channelId)) === 0 && (await purges().countDocuments()) === 0);
  });

  it('leaves no message behind while others send', async () => {
    const { channelId } = await room();
    const sends = Array.from({ length: 30 }, () => send(channelId, guest));
    const [deletion, ...answers] = await Promise.all([remove(channelId), ...sends]);
    expect(deletion.status).toBe(204);
    for (const { status } of answers) expect([201, 404]).toContain(status);
    await until(async () => (await purges().countDocuments()) === 0);
    expect(await messagesOf(channelId)).toBe(0);
  });

  it('resumes after a restart where it stopped, and leaves other channels alone', async () => {
    const { channelId: keptChannel } = await room();
    await send(keptChannel, guest);
    const { messages } = server.context.database.collections;
    const [model] = await messages.find({ channelId: new ObjectId(keptChannel) }).toArray();
    const deletedId = new ObjectId();
    await messages.insertMany(
      Array.from({ length: 2500 }, (_, index) => ({
        ...model!,
        _id: new ObjectId(),
        channelId: deletedId,
        seq: index + 1,
        revision: index + 1,
        clientMessageId: `left ${index}`,
      })),
    );
    await purges().insertOne({ _id: deletedId, requestedAt: new Date() });
    const { config, database } = server.context;
    const restarted = await createContext(config, { database });
    await restarted.start();
    await until(async () => (await purges().countDocuments()) === 0);
    expect(await messagesOf(deletedId.toHexString())).toBe(0);
    expect(await messagesOf(keptChannel)).toBe(1);
    await restarted.close();
  });
});
