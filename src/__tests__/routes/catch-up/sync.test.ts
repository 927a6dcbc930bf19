import { randomUUID } from 'node:crypto';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let guest: Person;
let groupId: string;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ owner, guest } = await signUpAll(server.api, 'owner', 'guest'));
  ({ groupId, channelId } = await createRoom(server.api, owner, [guest]));
});
afterAll(() => server.close());

async function send(to: string, by = owner, body = 'hello'): Promise<any> {
  const input = { clientMessageId: randomUUID(), body };
  const answer = await server.api.post(`/api/channels/${to}/messages`, input, by.token);
  expect(answer.status).toBe(201);
  return answer.body.message;
}
async function sync(since: Record<string, number>, more: object = {}, by = guest): Promise<any> {
  const { status, body } = await server.api.post('/api/client/sync', { since, ...more }, by.token);
  expect(status).toBe(200);
  return body;
}
async function createChannel(visibility: string): Promise<string> {
  const input = { groupId, name: randomUUID(), visibility };
  return (await server.api.post('/api/channels', input, owner.token)).body.channel.id;
}
const change = async (id: string, input: object) =>
  (await server.api.patch(`/api/channels/${id}`, input, owner.token)).body.channel;
const addMember = (id: string, { id: userId }: Person) =>
  server.api.post(`/api/channels/${id}/members`, { userId }, owner.token);
const removeMember = (id: string, { id: userId }: Person) =>
  server.api.delete(`/api/channels/${id}/members/${userId}`, owner.token);

describe('sync', () => {
  it('returns the current state of everything that changed, in order of revisions', async () => {
    const [first, second] = [await send(channelId), await send(channelId)];
    const known = second.revision;
    await change(channelId, { topic: 'one' });
    const third = await send(channelId);
    await server.api.patch(`/api/messages/${first.id}`, { body: 'once' }, owner.token);
    const edited = await server.api.patch(`/api/messages/${first.id}`, { body: 'twice' }, owner.token);
    const channel = await change(channelId, { topic: 'two' });
    const { channels } = await sync({ [channelId]: known });
    expect(channels).toEqual([
      {
        channelId,
        channel,
        changes: [
          { kind: 'message', revision: third.revision, message: third },
          { kind: 'message', revision: edited.body.message.revision, message: edited.body.message },
          { kind: 'channel', revision: channel.revision },
        ],
        revision: channel.revision,
        more: false,
        read: expect.objectContaining({ unread: 3, revision: channel.revision }),
      },
    ]);
    expect((await sync({ [channelId]: channel.revision })).channels).toMatchObject([
      { channel: null, changes: [], revision: channel.revision, more: false },
    ]);
  });

  it('has pages over several channels without gaps and duplicates', async () => {
    const other = await createChannel('public');
    const sent: string[] = [];
    for (let count = 0; count < 7; count++) {
      sent.push((await send(channelId)).id, (await send(other)).id);
    }
    const since: Record<string, number> = { [channelId]: 0, [other]: 0 };
    const returned: string[] = [];
    for (let more = true; more;) {
      const page = await sync(since, { limit: 3 });
      const changes = page.channels.flatMap((one: any) => one.changes);
      expect(changes.length).toBeLessThanOrEqual(3);
      returned.push(...changes.map(({ message }: any) => message.id));
      for (const { channelId: id, revision } of page.channels) since[id] = revision;
      more = page.more;
    }
    expect(returned.sort()).toEqual(sent.sort());
  });

  it('accepts a revision from before a restart', async () => {
    const { revision } = await send(channelId);
    await server.restart();
    const message = await send(channelId);
    expect((await sync({ [channelId]: revision })).channels[0].changes).toEqual([
      { kind: 'message', revision: message.revision, message },
    ]);
  });

  it('reports revisions that never existed, and limits how much it returns', async () => {
    const { revision } = await send(channelId);
    const [ahead] = (await sync({ [channelId]: revision + 1 })).reset;
    expect(ahead).toMatchObject({ scope: 'channel', reason: 'unknown_revision', channel: { id: channelId } });
    const { channels } = server.context.database.collections;
    await channels.updateOne({ seq: revision, revision }, { $set: { revision: 1002 } });
    const { reset, channels: returned } = await sync({ [channelId]: 1 }, { named: true });
    expect([reset[0].reason, returned]).toEqual(['too_far_behind', []]);
  });

  it('answers the same for an unreadable channel as for a missing one', async () => {
    const secret = await createChannel('private');
    const invented = '0'.repeat(24);
    const { gone, channels } = await sync({ [secret]: 1, [invented]: 1 }, { named: true });
    expect(gone).toEqual([secret, invented].map((id) => ({ channelId: id, reason: 'not_found' })));
    expect(channels).toEqual([]);
  });

  it('checks read access for every page', async () => {
    const secret = await createChannel('private');
    await addMember(secret, guest);
    for (let count = 0; count < 3; count++) await send(secret);
    const page = await sync({ [secret]: 0 }, { limit: 2, named: true });
    expect(page.channels[0]).toMatchObject({ revision: 2, more: true });
    await removeMember(secret, guest);
    const next = await sync({ [secret]: 2 }, { named: true });
    expect(next).toMatchObject({ channels: [], gone: [{ channelId: secret, reason: 'not_found' }] });
    expect(JSON.stringify(next)).not.toContain('hello');
    await server.api.delete(`/api/groups/${groupId}/members/${guest.id}`, owner.token);
    expect(await sync({ [channelId]: 0 })).toMatchObject({ channels: [], gone: [{ channelId }], added: [] });
  });

  it('includes channels that the client does not know, unless the client asks only for named ones', async () => {
    const other = await createChannel('public');
    await createChannel('private');
    const { added } = await sync({ [channelId]: 0 });
    expect(added).toMatchObject([{ channel: { id: other }, read: { unread: 0 } }]);
    expect((await sync({ [channelId]: 0 }, { named: true })).added).toEqual([]);
  });

  it('reports who joined and left, and drops the members of a private channel that was opened', async () => {
    const inner = await createChannel('private');
    const third = await signUp(server.api, 'third');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: third.id }, owner.token);
    await addMember(inner, guest);
    const known = (await server.api.get(`/api/channels/${inner}`, owner.token)).body.channel.revision;
    const returned = async () =>
      (await sync({ [inner]: known }, { named: true }, owner)).channels[0].changes.map(
        ({ kind, userId, present }: any) => [kind, userId, present].filter((part) => part !== undefined),
      );
    await addMember(inner, third);
    await removeMember(inner, guest);
    expect(await returned()).toEqual([
      ['member', third.id, true],
      ['member', guest.id, false],
    ]);
    await change(inner, { visibility: 'public' });
    await change(inner, { visibility: 'private' });
    expect(await returned()).toEqual([['members_cleared'], ['member', owner.id, true], ['channel']]);
  });

  it('works the same over a socket, with the same errors', async () => {
    await send(channelId);
    const client = await connect(server.url, guest.token);
    const since = { [channelId]: 0 };
    expect(await client.ask('sync', { since })).toEqual({ ok: true, data: await sync(since) });
    const bad = { since: { nonsense: 1 } };
    const refused = await server.api.post('/api/client/sync', bad, guest.token);
    expect(await client.ask('sync', bad)).toMatchObject({
      ok: false,
      error: { code: refused.body.error.code },
    });
    client.close();
  });
});

describe('live events', () => {
  it('carry each revision of a channel exactly once, whatever changes the channel', async () => {
    const inner = await createChannel('private');
    await addMember(inner, guest);
    const client = await connect(server.url, guest.token);
    const before = (await server.api.get(`/api/channels/${inner}`, guest.token)).body.channel.revision;
    const message = await send(inner);
    await change(inner, { topic: 'next' });
    const third = await signUp(server.api, 'third');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: third.id }, owner.token);
    await addMember(inner, third);
    await server.api.delete(`/api/groups/${groupId}/members/${third.id}`, owner.token);
    await server.api.delete(`/api/messages/${message.id}`, owner.token);
    await change(inner, { visibility: 'public' });
    await change(inner, { visibility: 'private' });
    await client.waitFor('channel:removed', ({ channelId: id }) => id === inner);
    const revisions = client.events.flatMap(
      ({ payload: { channelId: id, revision, message: one, channel } }) => {
        if ((id ?? one?.channelId ?? channel?.id) !== inner) return [];
        return revision ?? one?.revision ?? channel?.revision ?? [];
      },
    );
    expect(revisions).toEqual(Array.from({ length: 7 }, (_, index) => before + 1 + index));
    client.close();
  });
});
