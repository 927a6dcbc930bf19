import { ObjectId } from 'mongodb';
import { auditOf, refused } from '../../fixtures/accounts';
import type { Api } from '../../fixtures/api';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let api: Api;
let owner: Person;
/** An admin of the group who created the channel, and is a plain member when it is transferred. */
let maker: Person;
let successor: Person;
let groupId: string;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ({ api } = server);
  // The first account is super admin and may do everything.
  ({ owner, maker, heir: successor } = await signUpAll(api, 'root', 'owner', 'maker', 'heir'));
});
beforeEach(async () => {
  ({ groupId } = await createRoom(api, owner, [maker, successor]));
  await giveRole('admin');
  channelId = await make('public');
  await giveRole('member');
});
afterAll(() => server.close());

const giveRole = (role: string) =>
  api.patch(`/api/groups/${groupId}/members/${maker.id}`, { role }, owner.token);
async function make(visibility: string): Promise<string> {
  const channel = { groupId, name: visibility, visibility };
  return (await api.post('/api/channels', channel, maker.token)).body.channel.id;
}
const transfer = (to: Person, by = maker) =>
  api.post(`/api/channels/${channelId}/transfer`, { userId: to.id }, by.token);
const change = (by: Person) => api.patch(`/api/channels/${channelId}`, { topic: by.username }, by.token);
const notificationsOf = async ({ token }: Person): Promise<any[]> =>
  (await api.get('/api/client/notifications', token)).body.notifications;

describe('transferring a channel', () => {
  it('by its owner passes on the rights of the owner', async () => {
    const socket = await connect(server.url, owner.token);
    expect((await change(maker)).body.channel).toMatchObject({ ownerId: maker.id, createdBy: maker.id });
    expect(await change(successor)).toMatchObject(refused(403, 'forbidden'));
    expect((await transfer(successor)).body.channel).toMatchObject({
      ownerId: successor.id,
      createdBy: maker.id,
    });
    await socket.waitFor('channel:updated', ({ channel }) => channel.ownerId === successor.id);
    socket.close();
    expect((await change(successor)).status).toBe(200);
    expect(await change(maker)).toMatchObject(refused(403, 'forbidden'));
    expect(await transfer(maker)).toMatchObject(refused(403, 'forbidden'));
    expect((await notificationsOf(successor))[0]).toMatchObject({
      kind: 'channel.transferred',
      actorId: maker.id,
      channelId,
    });
    const entries = await auditOf(server, { id: channelId }, 'channel.transferred');
    expect(entries).toMatchObject([{ details: { from: maker.id, to: successor.id } }]);
  });

  it('by an admin of the group is permitted; a second time changes nothing', async () => {
    expect((await transfer(successor, owner)).body.channel.ownerId).toBe(successor.id);
    const { revision } = (await transfer(successor, owner)).body.channel;
    expect((await api.get(`/api/channels/${channelId}`, successor.token)).body.channel.revision).toBe(
      revision,
    );
    expect(await auditOf(server, { id: channelId }, 'channel.transferred')).toHaveLength(1);
  });

  it('adds the new owner to a private channel, and keeps them as a member when it becomes private', async () => {
    const socket = await connect(server.url, successor.token);
    await giveRole('admin');
    channelId = await make('private');
    await giveRole('member');
    expect((await transfer(successor)).status).toBe(200);
    await socket.waitFor('channel:added', ({ channel }) => channel.id === channelId);
    socket.close();
    const members = async () =>
      (await api.get(`/api/channels/${channelId}/members`, successor.token)).body.members.map(
        ({ user }: any) => user.id,
      );
    expect(await members()).toEqual([maker.id, successor.id]);
    await api.patch(`/api/channels/${channelId}`, { visibility: 'public' }, successor.token);
    expect(
      (await api.patch(`/api/channels/${channelId}`, { visibility: 'private' }, owner.token)).status,
    ).toBe(200);
    expect((await members()).sort()).toEqual([successor.id, owner.id].sort());
  });

  it('to a user who is not in the group or is banned from the channel is refused', async () => {
    const stranger = await signUp(api, 'stranger');
    expect(await transfer(stranger)).toMatchObject(refused(400, 'bad_request'));
    const path = `/api/channels/${channelId}/restrictions/${successor.id}`;
    await api.call('put', path, { token: owner.token, body: { kind: 'banned' } });
    expect(await transfer(successor)).toMatchObject(refused(400, 'bad_request'));
    const { channels } = server.context.database.collections;
    expect(await channels.findOne({ _id: new ObjectId(channelId) })).not.toHaveProperty('ownerId');
  });
});
