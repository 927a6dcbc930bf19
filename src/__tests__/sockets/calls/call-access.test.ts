import { ObjectId } from 'mongodb';
import { setImmediate as nextTick } from 'node:timers/promises';
import { rounds } from '../../../../tools/jest/budget';
import type { ParticipantState, VideoCallDocument } from '../../../models/video-call.model';
import type { Answer } from '../../fixtures/api';
import { logInAgain } from '../../fixtures/accounts';
import { copyPerson } from '../../fixtures/copies';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient, type Client } from '../../fixtures/sockets';

/** A call of `owner`, in which `ada` is called or has joined. */
interface World {
  owner: Person;
  ada: Person;
  groupId: string;
  channelId: string;
  callId: string;
}

interface Act {
  /** Where the call is; a public channel by default. */
  where?: 'public' | 'private' | 'pair';
  /** Whether ada's sockets remain open, so that they learn of it. */
  connected?: true;
  /** Whether ada is a super admin who is muted in the channel. */
  mutedAdmin?: true;
  /** The state of a called user afterwards, and of one who had joined; `removed` by default. */
  rings?: ParticipantState;
  joined?: ParticipantState | 'removed or left';
  /** @returns the answer of the call that takes a right away. */
  run(world: World): Promise<Answer>;
}

describe('who loses access is out of the call before the call that took it returns', () => {
  let server: TestServer;
  let root: Person;
  const proof = { password: PASSWORD };

  beforeAll(async () => {
    server = await startTestServer({}, { clock: new ManualClock() });
    root = await signUp(server.api, 'root');
  });
  afterAll(() => server.close());

  const post = (path: string, body: unknown, { token }: Person) => server.api.post(path, body, token);
  const put = (path: string, body: unknown, { token }: Person) =>
    server.api.call('put', path, { body, token });
  const remove = (path: string, { token }: Person, body?: unknown) =>
    server.api.call('delete', path, { body, token });
  const restrict = (kind: string) => (world: World) =>
    put(`/api/channels/${world.channelId}/restrictions/${world.ada.id}`, { kind }, world.owner);

  const acts: Record<string, Act> = {
    'removed from the group': {
      connected: true,
      run: ({ groupId, ada, owner }) => remove(`/api/groups/${groupId}/members/${ada.id}`, owner),
    },
    'left the group': {
      connected: true,
      run: ({ groupId, ada }) => post(`/api/groups/${groupId}/leave`, undefined, ada),
    },
    'banned from the group': {
      connected: true,
      run: ({ groupId, ada, owner }) => put(`/api/groups/${groupId}/bans/${ada.id}`, {}, owner),
    },
    'removed from the private channel': {
      where: 'private',
      connected: true,
      run: ({ channelId, ada, owner }) => remove(`/api/channels/${channelId}/members/${ada.id}`, owner),
    },
    'left the private channel': {
      where: 'private',
      connected: true,
      run: ({ channelId, ada }) => remove(`/api/channels/${channelId}/members/${ada.id}`, ada),
    },
    'removed from the group of the private channel': {
      where: 'private',
      connected: true,
      run: ({ groupId, ada, owner }) => remove(`/api/groups/${groupId}/members/${ada.id}`, owner),
    },
    'banned from the channel': { connected: true, run: restrict('banned') },
    'banned from the private channel': { where: 'private', connected: true, run: restrict('banned') },
    'muted in the channel': { connected: true, run: restrict('muted') },
    'channel made private': {
      connected: true,
      run: ({ channelId, owner }) =>
        server.api.patch(`/api/channels/${channelId}`, { visibility: 'private' }, owner.token),
    },
    'channel archived': {
      connected: true,
      run: ({ channelId, owner }) => post(`/api/channels/${channelId}/archive`, undefined, owner),
    },
    'group archived': {
      connected: true,
      run: ({ groupId, owner }) => post(`/api/groups/${groupId}/archive`, undefined, owner),
    },
    'channel deleted': {
      connected: true,
      run: ({ channelId, owner }) => remove(`/api/channels/${channelId}`, owner),
    },
    'channel deleted by an administrator': {
      connected: true,
      run: ({ channelId }) => remove(`/api/admin/channels/${channelId}`, root),
    },
    'group deleted': {
      connected: true,
      run: ({ groupId, owner }) => remove(`/api/groups/${groupId}`, owner),
    },
    'the other person blocks them': {
      where: 'pair',
      connected: true,
      run: ({ ada, owner }) => put(`/api/users/me/blocks/${ada.id}`, undefined, owner),
    },
    'they block the other person': {
      where: 'pair',
      connected: true,
      run: ({ ada, owner }) => put(`/api/users/me/blocks/${owner.id}`, undefined, ada),
    },
    'the other person deactivates their account': {
      where: 'pair',
      connected: true,
      run: (world) => post('/api/users/me/deactivate', proof, world.owner),
    },
    'account suspended': {
      joined: 'removed or left',
      run: ({ ada }) => post(`/api/admin/users/${ada.id}/suspend`, { reason: 'x' }, root),
    },
    'account suspended, in a conversation of two': {
      where: 'pair',
      joined: 'removed or left',
      run: ({ ada }) => post(`/api/admin/users/${ada.id}/suspend`, { reason: 'x' }, root),
    },
    'account deleted': { joined: 'removed or left', run: ({ ada }) => remove('/api/users/me', ada, proof) },
    'account deactivated': {
      joined: 'removed or left',
      run: ({ ada }) => post('/api/users/me/deactivate', proof, ada),
    },
    'account deactivated, in a conversation of two': {
      where: 'pair',
      joined: 'removed or left',
      run: ({ ada }) => post('/api/users/me/deactivate', proof, ada),
    },
    // A user is called on all devices, and on those on which they log in meanwhile.
    'logged out': {
      rings: 'ringing',
      joined: 'left',
      run: ({ ada }) => post('/api/auth/logout', undefined, ada),
    },
    'logged out everywhere': {
      rings: 'ringing',
      joined: 'left',
      run: ({ ada }) => post('/api/auth/logout-everywhere', undefined, ada),
    },
    'logged out by an administrator': {
      rings: 'ringing',
      joined: 'left',
      run: ({ ada }) => post(`/api/admin/users/${ada.id}/logout`, undefined, root),
    },
    'password changed': {
      rings: 'ringing',
      joined: 'left',
      run: ({ ada }) => post('/api/auth/password', { ...proof, newPassword: 'a wholly new passphrase' }, ada),
    },
    'logged out on another device': {
      rings: 'ringing',
      joined: 'joined',
      run: async ({ ada }) => post('/api/auth/logout', undefined, await logInAgain(server.api, ada)),
    },
    'another role in the group': {
      rings: 'ringing',
      joined: 'joined',
      run: ({ groupId, ada, owner }) =>
        server.api.patch(`/api/groups/${groupId}/members/${ada.id}`, { role: 'moderator' }, owner.token),
    },
    'another role on the server': {
      rings: 'ringing',
      joined: 'joined',
      run: ({ ada }) =>
        server.api.patch(`/api/admin/users/${ada.id}/role`, { role: 'group_admin' }, root.token),
    },
    'no longer a super admin, and muted': {
      mutedAdmin: true,
      connected: true,
      run: ({ ada }) => server.api.patch(`/api/admin/users/${ada.id}/role`, { role: 'client' }, root.token),
    },
  };
  const names = Object.keys(acts);

  /** An open call that calls ada, who is connected if she has to learn what follows. */
  async function createWorld({ where = 'public', mutedAdmin }: Act): Promise<World & { client: Client }> {
    const ada = await copyPerson(server, root, 'ada');
    const role = mutedAdmin ? 'super_admin' : 'client';
    const { users } = server.context.database.collections;
    await users.updateOne({ _id: new ObjectId(ada.id) }, { $set: { role } });
    await server.context.bus.publish({ type: 'user.changed', userId: new ObjectId(ada.id) });
    const owner = await copyPerson(server, ada, 'owner');
    const room =
      where === 'pair' ? { groupId: '', channelId: '' } : await createRoom(server.api, owner, [ada]);
    if (where === 'private') {
      const input = { groupId: room.groupId, name: 'secret', visibility: 'private' };
      room.channelId = (await post('/api/channels', input, owner)).body.channel.id;
      const added = await post(`/api/channels/${room.channelId}/members`, { userId: ada.id }, owner);
      expect(added.status).toBe(204);
    }
    const client = await connectClient(server.url, ada);
    const called = where === 'pair' ? { userId: ada.id } : { channelId: room.channelId, userIds: [ada.id] };
    const started = await post('/api/video-calls', called, owner);
    expect(started.status).toBe(201);
    const world = { ...room, owner, ada, client, callId: started.body.call.id };
    if (mutedAdmin) expect((await restrict('muted')(world)).status).toBe(200);
    return world;
  }

  const storedCall = ({ callId }: World): Promise<VideoCallDocument | null> =>
    server.context.database.collections.videoCalls.findOne({ _id: new ObjectId(callId) });

  /** Checks that ada is not in the call, and that the call goes on only if it can. */
  async function stateOf(world: World): Promise<ParticipantState> {
    const call = await storedCall(world);
    if (!call) {
      // It was deleted with its channel, after its end.
      const { channels } = server.context.database.collections;
      expect(await channels.findOne({ _id: new ObjectId(world.channelId) })).toBeNull();
      return 'removed';
    }
    const { state } = call.participants.find(({ userId }) => userId.toHexString() === world.ada.id)!;
    const isIn = (call.inCall ?? []).some((id) => id.toHexString() === world.ada.id);
    expect(isIn).toBe(state === 'joined');
    const joined = call.participants.filter((one) => one.state === 'joined').length;
    if (state !== 'ringing' && (joined === 0 || (call.pair && joined === 1)))
      expect(call.state).toBe('ended');
    return state;
  }

  /** The ways in which a request arrives. One with a key runs in a transaction with the record of its answer. */
  const WAYS = ['socket', 'rest', 'key'] as const;

  const join = ({ callId, ada, client }: World & { client: Client }, way: (typeof WAYS)[number]) =>
    way === 'socket'
      ? client.ask('call:join', { callId })
      : server.api.call('post', `/api/video-calls/${callId}/join`, {
          body: {},
          token: ada.token,
          ...(way === 'key' && { headers: { 'Idempotency-Key': `join-${callId}` } }),
        });

  it.each(names)('%s', async (name) => {
    const act = acts[name]!;
    const { rings = 'removed', joined = 'removed' } = act;
    const [called, talking] = [await createWorld(act), await createWorld(act)];
    expect(await join(talking, 'socket')).toMatchObject({ ok: true });
    for (const world of [called, talking]) expect((await act.run(world)).status).toBeLessThan(300);
    expect(await stateOf(called)).toBe(rings);
    expect(joined).toContain(await stateOf(talking));
    if (!act.connected) return;
    for (const { client, callId } of [called, talking]) {
      await client.waitFor('call:removed', (removed) => removed.callId === callId);
    }
  });

  it.each(names)('%s, while they join', async (name) => {
    const act = acts[name]!;
    const { joined = 'removed' } = act;
    if (joined === 'joined') return;
    for (const index of rounds(1)) {
      const round = index + names.indexOf(name);
      const world = await createWorld(act);
      const running = act.run(world);
      for (let turn = (round % 5) * 3; turn > 0; turn--) await nextTick();
      const [{ status }, answer] = await Promise.all([
        running,
        join(world, WAYS[round % WAYS.length]!).catch((error: unknown) => error),
      ]);
      expect(status).toBeLessThan(300);
      const isOut = async () => {
        const state = await stateOf(world);
        return state !== 'joined' && (state !== 'ringing' || act.rings === 'ringing');
      };
      const state = await stateOf(world);
      expect({ round, answer, state, isOut: await isOut() }).toEqual({ round, answer, state, isOut: true });
      world.client.close();
    }
  });

  it('does not take the id of a channel for that of a call', async () => {
    const { owner, channelId } = await createWorld({ run: () => Promise.reject(new Error('unused')) });
    const { status } = await server.api.get(`/api/video-calls/${channelId}`, owner.token);
    expect(status).toBe(404);
  });

  it('calls only those who may join', async () => {
    const world = await createWorld({ run: restrict('muted') });
    await restrict('muted')(world);
    const { channelId, owner, ada } = world;
    const { body } = await post('/api/video-calls', { channelId, userIds: [ada.id] }, owner);
    expect(body.call).toMatchObject({ state: 'active', participants: [{ userId: owner.id }] });
  });

  it('ends the call of two who remain in a conversation although one has blocked the other', async () => {
    const people = [];
    for (const name of ['one', 'two', 'three']) people.push(await copyPerson(server, root, name));
    const { users } = server.context.database.collections;
    for (const { id } of people)
      await users.updateOne({ _id: new ObjectId(id) }, { $set: { role: 'client' } });
    const [one, two, three] = people as [Person, Person, Person];
    const { body } = await post('/api/direct-messages', { userIds: [two.id, three.id] }, one);
    const channelId = body.conversation.channel.id;
    const { body: started } = await post('/api/video-calls', { channelId, userIds: [two.id] }, one);
    await post(`/api/video-calls/${started.call.id}/accept`, {}, two);
    await put(`/api/users/me/blocks/${one.id}`, undefined, two);
    const callOf = async () =>
      (await server.api.get(`/api/video-calls/${started.call.id}`, one.token)).body.call;
    expect(await callOf()).toMatchObject({ state: 'active' });
    expect((await remove(`/api/channels/${channelId}/members/${three.id}`, three)).status).toBe(204);
    expect(await callOf()).toMatchObject({ state: 'ended', endReason: 'access_lost' });
  });
});
