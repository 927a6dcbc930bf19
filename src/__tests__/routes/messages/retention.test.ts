import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { until } from '../../fixtures/until';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

/** The number of messages in each channel; the first ones are old. */
const COUNT = 12;
const OLD = 8;
const DAYS_AGO = 10;

let server: TestServer;
let ada: Person;
let bruno: Person;
let chiara: Person;
let device: Client;

beforeAll(async () => {
  server = await startTestServer();
  const { api } = server;
  ({ ada, bruno, chiara } = await signUpAll(api, 'ada', 'bruno', 'chiara'));
  device = await connect(server.url, bruno.token);
});
afterAll(async () => {
  device.close();
  await server.close();
});

const collections = () => server.context.database.collections;
const setDays = (channelId: string, days: number | null, person = ada) =>
  server.api.call('put', `/api/channels/${channelId}/retention`, { token: person.token, body: { days } });
const seqs = async (channelId: string): Promise<number[]> => {
  const { body } = await server.api.get(`/api/channels/${channelId}/messages`, bruno.token, { after: 0 });
  return body.messages.map(({ seq }: { seq: number }) => seq);
};
const summary = async (channelId: string, person: Person): Promise<any> =>
  (await server.api.get(`/api/channels/${channelId}/summary`, person.token)).body.summary;

/** Creates a channel with messages of Ada and Bruno, the first of which are ten days old. */
async function createHistory(): Promise<{ channelId: string; word: string; ids: string[] }> {
  const { channelId } = await createRoom(server.api, ada, [bruno, chiara]);
  const word = `old${randomUUID().slice(0, 8)}`;
  const ids: string[] = [];
  for (let index = 0; index < COUNT; index++) {
    const message = { clientMessageId: randomUUID(), body: `${word} @${bruno.username} ${index}` };
    // The last one is Ada's: Bruno has read up to his own message.
    const sender = index === 2 ? bruno : ada;
    const { body } = await server.api.post(`/api/channels/${channelId}/messages`, message, sender.token);
    ids.push(body.message.id);
  }
  const long = new Date(Date.now() - DAYS_AGO * 86_400_000);
  await collections().messages.updateMany(
    { channelId: new ObjectId(channelId), seq: { $lte: OLD } },
    { $set: { createdAt: long } },
  );
  return { channelId, word, ids };
}

describe('a channel with a retention time', () => {
  it('deletes older messages everywhere, and shows that it did', async () => {
    const { channelId, word, ids } = await createHistory();
    const thread = { clientMessageId: randomUUID(), body: 'In the thread', threadId: ids[0] };
    await server.api.post(`/api/channels/${channelId}/messages`, thread, chiara.token);
    await server.api.patch(`/api/messages/${ids[0]}`, { body: `${word} edited` }, ada.token);
    await server.api.call('put', `/api/messages/${ids[0]}/bookmark`, { token: chiara.token });
    const before = await summary(channelId, bruno);
    const set = await setDays(channelId, DAYS_AGO - 1);
    expect(set.body.channel).toMatchObject({ retentionDays: DAYS_AGO - 1, retainedFrom: 1 });
    const { channel } = await device.waitFor(
      'channel:updated',
      (received) => received.channel.id === channelId && received.channel.retainedFrom > 1,
    );
    expect(channel.retainedFrom).toBe(OLD + 1);
    expect(channel.revision).toBeGreaterThan(set.body.channel.revision);
    expect((await seqs(channelId))[0]).toBe(OLD + 1);
    expect(await seqs(channelId)).toHaveLength(COUNT - OLD + 1);
    const found = await server.api.get('/api/search/messages', bruno.token, { query: word });
    expect(found.body.hits.map((hit: any) => hit.message.seq).sort()).toEqual([9, 10, 11, 12].sort());
    expect((await server.api.patch(`/api/messages/${ids[0]}`, { body: 'x' }, ada.token)).status).toBe(404);
    const ofDeleted = { messageId: new ObjectId(ids[0]) };
    expect(await collections().messageEdits.countDocuments(ofDeleted)).toBe(0);
    expect(await collections().bookmarks.countDocuments(ofDeleted)).toBe(0);
    expect(await collections().threadFollows.countDocuments({ threadId: new ObjectId(ids[0]) })).toBe(0);

    // The remaining messages are unread, with and without a read marker.
    const after = await summary(channelId, bruno);
    expect([before.unread, after.unread]).toEqual([COUNT - 3, COUNT - OLD]);
    expect(after.mentions).toBe(COUNT - OLD);
    expect((await summary(channelId, chiara)).unread).toBe(COUNT - OLD);
    expect((await summary(channelId, ada)).unread).toBe(0);
  });

  it('keeps deleting, and stops when it is set to keep everything', async () => {
    const { channelId } = await createHistory();
    expect((await setDays(channelId, DAYS_AGO + 1)).body.channel.retentionDays).toBe(DAYS_AGO + 1);
    expect((await setDays(channelId, null)).body.channel.retentionDays).toBeNull();
    const { channelId: other } = await createHistory();
    await setDays(other, 1);
    // The clean-up of one channel has left the other one alone.
    await until(async () => (await seqs(other)).length < COUNT - 1);
    expect(await seqs(channelId)).toHaveLength(COUNT);
  });

  it('is configured only by admins of the group, which is in the audit log', async () => {
    const { channelId } = await createHistory();
    const answers = [
      await setDays(channelId, 5, bruno),
      await setDays(channelId, 0),
      await setDays(channelId, 4000),
    ];
    expect(answers.map(({ status }) => status)).toEqual([403, 400, 400]);
    await setDays(channelId, 30);
    await setDays(channelId, 30);
    const entries = await collections()
      .auditLog.find({ action: 'channel.retention_changed', targetId: new ObjectId(channelId) })
      .toArray();
    expect(entries.map(({ details }) => details)).toEqual([{ from: null, to: '30' }]);
  });
});
