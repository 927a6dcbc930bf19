import { Redis } from 'ioredis';
import { ObjectId, type CommandStartedEvent } from 'mongodb';
import { DOMAIN_EVENTS } from '../../services/kernel/domain-events';
import { decodeEvents, decodeHeader, encodeBatch, encodeDocument } from '../../services/kernel/relay-batch';
import { isLoggedIn, logInAgain, me, refused, reuseRefreshToken } from '../fixtures/accounts';
import { SAMPLE_EVENTS } from '../fixtures/domain-events';
import { createRoom, PASSWORD, signUp, type Person } from '../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../fixtures/redis';
import { startTestServer, type TestServer } from '../fixtures/server';
import { connect, type Client } from '../fixtures/sockets';
import { until } from '../fixtures/until';

if (!HAS_REDIS) console.warn('Several nodes are not tested: there is no redis-server.');

/** Two nodes on one database: users act on `here` and have their sockets on `there`. */
(HAS_REDIS ? describe : describe.skip)('what is done on one node counts on the other', () => {
  let redis: RedisProcess;
  let here: TestServer;
  let there: TestServer;
  let admin: Person;
  let ada: Person;
  const clients: Client[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    here = await startTestServer({ REDIS_URL: redis.url });
    there = await startTestServer({ REDIS_URL: redis.url }, { beside: here });
    admin = await signUp(here.api, 'admin');
  });
  beforeEach(async () => {
    ada = await signUp(here.api, 'ada');
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  afterAll(async () => {
    await there.close();
    await here.close();
    await redis.close();
  });

  const post = (path: string, body: unknown, { token }: Person, on = here) => on.api.post(path, body, token);

  /** Connects to the other node, which caches the user's session from then on. */
  async function connectClient(person: Person, options: object = { reconnection: false }): Promise<Client> {
    const client = await connect(there.url, person.token, { transports: ['websocket'], ...options });
    clients.push(client);
    expect((await me(there.api, person)).status).toBe(200);
    return client;
  }
  const endOf = ({ socket }: Client) =>
    new Promise<string>((resolve) => socket.once('auth:ended', ({ reason }) => resolve(reason)));

  const proof = { password: PASSWORD };
  const acts: [string, string, () => Promise<{ status: number }>][] = [
    ['log-out', 'logged_out', () => post('/api/auth/logout', undefined, ada)],
    ['a forced log-out', 'revoked', () => post(`/api/admin/users/${ada.id}/logout`, undefined, admin)],
    [
      'a refresh token that is used twice, once on each node',
      'token_reused',
      async () => {
        await reuseRefreshToken(there.api, ada, here.api);
        return { status: 200 };
      },
    ],
    [
      'another password',
      'password_changed',
      () => post('/api/auth/password', { ...proof, newPassword: 'a wholly new passphrase' }, ada),
    ],
    [
      'suspension',
      'account_suspended',
      () => post(`/api/admin/users/${ada.id}/suspend`, { reason: 'x' }, admin),
    ],
    [
      'deletion',
      'account_deleted',
      () => here.api.call('delete', '/api/users/me', { token: ada.token, body: proof }),
    ],
  ];

  it.each(acts)(
    '%s closes sockets and invalidates tokens before the call returns',
    async (_, reason, act) => {
      const { channelId } = await createRoom(here.api, admin, [ada]);
      const [client, observer] = [await connectClient(ada), await connectClient(admin)];
      const end = endOf(client);
      expect(Math.floor((await act()).status / 100)).toBe(2);
      // The call has returned.
      expect(await me(there.api, ada)).toMatchObject(refused(401, 'session_revoked'));
      const message = { clientMessageId: `after-${ada.id}`, body: 'Is she gone?' };
      expect((await post(`/api/channels/${channelId}/messages`, message, admin, there)).status).toBe(201);
      await observer.waitForMessage(
        (received) => received.message.clientMessageId === message.clientMessageId,
      );
      expect(await end).toBe(reason);
      expect(client.messages).toEqual([]);
    },
  );

  it('another role applies over REST and on open sockets', async () => {
    const client = await connectClient(ada);
    const { channelId } = await createRoom(here.api, admin);
    const setRole = (role: string) =>
      here.api.patch(`/api/admin/users/${ada.id}/role`, { role }, admin.token);
    const moderate = async (index: number) => {
      const message = { clientMessageId: `role-${ada.id}-${index}`, body: 'Delete me if you may' };
      const { body } = await post(`/api/channels/${channelId}/messages`, message, admin);
      const answer = await client.ask('message:delete', { messageId: body.message.id });
      const { status } = await there.api.get('/api/admin/audit-log', ada.token, { limit: '1' });
      return [answer.ok || answer.error.code, status];
    };
    expect(await moderate(1)).toEqual(['not_found', 403]);
    await setRole('super_admin');
    expect(await moderate(2)).toEqual([true, 200]);
    await setRole('client');
    expect(await moderate(3)).toEqual(['not_found', 403]);
  });

  it('a user who is removed from a group receives nothing more of it, and an added one does', async () => {
    const bob = await signUp(here.api, 'bob');
    const { groupId, channelId } = await createRoom(here.api, admin, [ada]);
    const [removed, added, observer] = [
      await connectClient(ada),
      await connectClient(bob),
      await connectClient(admin),
    ];
    expect((await here.api.delete(`/api/groups/${groupId}/members/${ada.id}`, admin.token)).status).toBe(204);
    expect((await post(`/api/groups/${groupId}/members`, { userId: bob.id }, admin)).status).toBe(201);
    const message = { clientMessageId: `moved-${ada.id}`, body: 'Who is here?' };
    expect((await post(`/api/channels/${channelId}/messages`, message, admin, there)).status).toBe(201);
    const isThisMessage = ({ message: { clientMessageId } }: Client['messages'][number]) =>
      clientMessageId === message.clientMessageId;
    await Promise.all([observer.waitForMessage(isThisMessage), added.waitForMessage(isThisMessage)]);
    expect(removed.messages).toEqual([]);
  });

  it('maintenance closes both, notifies the clients of both, and ends on both', async () => {
    const client = await connectClient(ada);
    const received = client.waitFor('maintenance:changed');
    const set = (body: object) =>
      here.api.call('put', '/api/admin/maintenance', { token: admin.token, body });
    await set({ enabled: true, message: 'Moving house' });
    expect(await me(there.api, ada)).toMatchObject(refused(503, 'maintenance'));
    expect(await received).toEqual({ enabled: true, message: 'Moving house', until: null });
    await set({ enabled: false });
    expect((await me(there.api, ada)).status).toBe(200);
  });

  it("a user who becomes invisible is invisible on the other node, whatever the client stores in 'extras'", async () => {
    await createRoom(here.api, admin, [ada]);
    const client = await connectClient(ada);
    const status = async () =>
      (await there.api.get(`/api/users/${ada.id}/presence`, admin.token)).body.presence.status;
    await until(async () => (await status()) === 'online');
    const extras = { theme: { $oid: 'dark' }, since: { $date: 'yesterday' } };
    const preferences = { invisible: true, extras };
    expect((await here.api.patch('/api/client/preferences', preferences, ada.token)).status).toBe(200);
    expect(await status()).toBe('offline');
    client.close();
  });

  it('events for a single node are not sent to Redis, and all others once, in their order', async () => {
    const channel = `parley:${here.context.config.database.name}:events`;
    const [listener, answers] = [new Redis(redis.url), new Redis(redis.url)];
    const types: string[] = [];
    listener.on('messageBuffer', (_: Buffer, batch: Buffer) => {
      const { header, rest } = decodeHeader(batch);
      if (header.from !== here.context.nodes.id) return;
      types.push(...decodeEvents(rest).map(({ type }) => type));
      if (header.confirm) {
        void answers.publish(`${channel}:confirmed:${header.from}`, `${header.number} listener`);
      }
    });
    await listener.subscribe(channel);
    const events = Object.values(SAMPLE_EVENTS);
    // A sample concerns nobody, except that of this one closes all sockets.
    const published = events.filter(({ type }) => type !== 'events.missed' && type !== 'maintenance.changed');
    await Promise.all(published.map((event) => here.context.bus.publish(event)));
    await until(
      () => types.length >= published.filter(({ type }) => DOMAIN_EVENTS[type].scope === 'all').length,
    );
    for (const each of [listener, answers]) each.disconnect();
    expect(types).toEqual(
      published.map(({ type }) => type).filter((type) => DOMAIN_EVENTS[type].scope === 'all'),
    );
  });

  it('a session that was extended on one node does not expire on the other', async () => {
    const { sessions } = here.context.database.collections;
    const end = Date.now() + 1500;
    const _id = new ObjectId(ada.refreshToken.split('.')[0]);
    await sessions.updateOne({ _id }, { $set: { expiresAt: new Date(end) } });
    expect((await me(there.api, ada)).status).toBe(200);
    const { refreshToken } = ada;
    expect((await here.api.post('/api/auth/refresh', { refreshToken })).status).toBe(200);
    await until(() => Date.now() > end);
    expect((await me(there.api, ada)).status).toBe(200);
  });

  it('a node that does not confirm delays others for a limited time', async () => {
    const silent = new Redis(redis.url);
    await silent.subscribe(`parley:${here.context.config.database.name}:events`);
    const client = await connectClient(ada);
    const end = endOf(client);
    const start = performance.now();
    expect((await post('/api/auth/logout', undefined, ada)).status).toBe(204);
    expect(performance.now() - start).toBeGreaterThan(1900);
    expect(await end).toBe('logged_out');
    silent.disconnect();
    const phone = await logInAgain(here.api, admin);
    const before = performance.now();
    expect((await post('/api/auth/logout', undefined, phone)).status).toBe(204);
    expect(performance.now() - before).toBeLessThan(1900);
  });

  it('malformed messages from Redis do no harm', async () => {
    const stranger = new Redis(redis.url);
    const channel = `parley:${here.context.config.database.name}:events`;
    const batch = encodeBatch({ from: 'x', number: 1 }, [encodeDocument({ type: 'user.changed' })]);
    const malformed = [
      ...['', '{', 'null', '{"from":"x","number":1}'].map((text) => Buffer.from(text)),
      ...[1, 4, 12, batch.length - 1].map((length) => batch.subarray(0, length)),
      encodeBatch({ from: 'x', number: 1.5 }, []),
      encodeBatch({ from: 'x', number: 2 }, [encodeDocument({}), encodeDocument({ type: null })]),
      encodeBatch({ from: 'x', number: 3 }, [encodeDocument(SAMPLE_EVENTS['events.missed'])]),
      Buffer.concat([batch, Buffer.from([255, 255, 255, 127, 0])]),
    ];
    for (const bytes of malformed) await stranger.publish(channel, bytes);
    stranger.disconnect();
    const client = await connectClient(ada);
    const end = endOf(client);
    await post('/api/auth/logout', undefined, ada);
    expect(await end).toBe('logged_out');
  });

  it('a node has two connections to Redis, whatever uses them, and none after its stop', async () => {
    const observer = new Redis(redis.url);
    const name = ` name=parley:${here.context.config.database.name}:`;
    const count = async () => String(await observer.client('LIST')).split(name).length - 1;
    expect(await count()).toBe(4);
    const settings = { REDIS_URL: redis.url, THROTTLE_ENABLED: 'true' };
    const third = await startTestServer(settings, { beside: here });
    expect(
      (await third.api.post('/api/auth/login', { identifier: ada.username, password: PASSWORD })).status,
    ).toBe(200);
    expect(await count()).toBe(6);
    await third.close();
    expect(await count()).toBe(4);
    observer.disconnect();
  });

  describe('without Redis', () => {
    it('what is done on one node still counts on the other, and all reconnect when Redis is back', async () => {
      const client = await connectClient(ada);
      const end = endOf(client);
      const bob = await signUp(here.api, 'bob');
      const { groupId, channelId } = await createRoom(here.api, admin, [bob]);
      const [stays, observer] = [
        await connectClient(bob, { reconnectionDelay: 10 }),
        await connectClient(admin),
      ];
      const send = async (name: string, on: TestServer) => {
        const message = { clientMessageId: `${name}-${bob.id}`, body: 'Who is here?' };
        expect((await post(`/api/channels/${channelId}/messages`, message, admin, on)).status).toBe(201);
        return ({ message: { clientMessageId } }: Client['messages'][number]) =>
          clientMessageId === message.clientMessageId;
      };
      const healthOf = async ({ api }: TestServer) => {
        const { status, body } = await api.get('/health/ready');
        return [status, body.checks.redis];
      };
      for (const server of [here, there]) expect(await healthOf(server)).toEqual([200, 'ok']);
      await redis.close();
      for (const server of [here, there]) {
        await until(async () => (await healthOf(server))[1] === 'failed');
        expect(await healthOf(server)).toEqual([200, 'failed']);
      }
      await stays.waitForMessage(await send('before', there));
      const [{ status }] = await Promise.all([
        post('/api/auth/logout', undefined, ada),
        here.api.delete(`/api/groups/${groupId}/members/${bob.id}`, admin.token),
      ]);
      expect(status).toBe(204);
      // Both calls have returned.
      expect(await me(there.api, ada)).toMatchObject(refused(401, 'session_revoked'));
      expect(await isLoggedIn(there.api, ada)).toEqual([false, false]);
      await observer.waitForMessage(await send('after', there));
      expect(await end).toBe('logged_out');
      expect(stays.messages).toHaveLength(1);
      expect([stays, observer].map(({ socket }) => socket.connected)).toEqual([true, true]);

      const again = new Promise((resolve) => stays.socket.io.once('reconnect', resolve));
      redis = await startRedis(redis.port);
      await again;
      for (const server of [here, there]) await until(async () => (await healthOf(server))[1] === 'ok');
      await until(() => stays.socket.connected);
      const back = await connectClient(admin);
      const message = { clientMessageId: `back-${bob.id}`, body: 'We are one again' };
      expect((await post(`/api/channels/${channelId}/messages`, message, admin, there)).status).toBe(201);
      await back.waitForMessage((received) => received.message.clientMessageId === message.clientMessageId);
      expect(stays.messages).toHaveLength(1);
    });

    it('a session that was revoked without any event ends at the next check', async () => {
      const client = await connectClient(ada);
      const end = endOf(client);
      const { sessions } = here.context.database.collections;
      const _id = new ObjectId(ada.refreshToken.split('.')[0]);
      await sessions.updateOne({ _id }, { $set: { revokedAt: new Date() } });
      // As it does every ten seconds.
      await there.context.services.sessionRecheck.run();
      expect(await end).toBe('revoked');
      expect(await me(there.api, ada)).toMatchObject(refused(401, 'session_revoked'));
    });
  });
});

const CLOSED = 'direct_messages_closed';

/** Each node has its own connection to the database, as in production, so that only what is announced tells the other one. */
(HAS_REDIS ? describe : describe.skip)('rights that the other node remembers', () => {
  let redis: RedisProcess;
  let here: TestServer;
  let there: TestServer;
  let admin: Person;
  let ada: Person;
  let bob: Person;
  let client: Client;
  let groupId: string;
  let channelId: string;
  let directId: string;

  beforeAll(async () => {
    redis = await startRedis();
    const options = { soleWriter: false, monitorCommands: true };
    here = await startTestServer({ REDIS_URL: redis.url }, options);
    there = await startTestServer({ REDIS_URL: redis.url }, { ...options, beside: here });
    admin = await signUp(here.api, 'admin');
  });
  beforeEach(async () => {
    [ada, bob] = [await signUp(here.api, 'ada'), await signUp(here.api, 'bob')];
    ({ groupId, channelId } = await createRoom(here.api, admin, [ada, bob], 'public'));
    const { body } = await here.api.post('/api/direct-messages', { userIds: [bob.id] }, ada.token);
    directId = body.conversation.channel.id;
    client = await connect(there.url, ada.token, { transports: ['websocket'] });
  });
  afterEach(() => client.close());
  afterAll(async () => {
    await there.close();
    await here.close();
    await redis.close();
  });

  /** Sends from the other node. @returns `ok` or the code of the error. */
  async function send(id: string, from = client): Promise<string> {
    const message = { channelId: id, clientMessageId: new ObjectId().toHexString(), body: 'Hello' };
    const answer = await from.ask('message:send', message);
    return answer.ok ? 'ok' : answer.error.code;
  }
  /** Sends until the other node decides by what it remembers: it reads nothing to prepare a message. */
  async function remember(): Promise<void> {
    const { client: database } = there.context.database.db;
    await until(async () => {
      let reads = 0;
      const count = ({ commandName, command }: CommandStartedEvent) => {
        const names = ['groups', 'memberships', 'channel_restrictions', 'channel_members', 'blocks'];
        if (commandName === 'find' && names.includes(command['find'])) reads++;
      };
      database.on('commandStarted', count);
      expect([await send(channelId), await send(directId)]).toEqual(['ok', 'ok']);
      database.off('commandStarted', count);
      return reads === 0;
    });
  }
  const call = async (method: 'put' | 'post' | 'delete', path: string, by: Person, body?: object) => {
    const { status } = await here.api.call(method, path, { token: by.token, body });
    expect(Math.floor(status / 100)).toBe(2);
  };
  const changes: [string, () => Promise<void>, () => string, string][] = [
    ['a block', () => call('put', `/api/users/me/blocks/${ada.id}`, bob), () => directId, CLOSED],
    [
      'a deactivated partner',
      () => call('post', '/api/users/me/deactivate', bob, { password: PASSWORD }),
      () => directId,
      CLOSED,
    ],
    [
      'a mute',
      () =>
        call('put', `/api/channels/${channelId}/restrictions/${ada.id}`, admin, {
          kind: 'muted',
          reason: '',
        }),
      () => channelId,
      'muted',
    ],
    [
      'a removal',
      () => call('delete', `/api/groups/${groupId}/members/${ada.id}`, admin),
      () => channelId,
      'not_found',
    ],
    [
      'an archived group',
      () => call('post', `/api/groups/${groupId}/archive`, admin),
      () => channelId,
      'group_archived',
    ],
  ];

  it.each(changes)('%s counts there when the call has returned', async (_, change, where, code) => {
    await remember();
    await change();
    expect(await send(where())).toBe(code);
  });

  it('and what is granted counts there as well', async () => {
    await remember();
    const path = `/api/users/me/blocks/${ada.id}`;
    for (let times = 0; times < 5; times++) {
      await call('put', path, bob);
      expect(await send(directId)).not.toBe('ok');
      await call('delete', path, bob);
      expect(await send(directId)).toBe('ok');
    }
  });

  it('a block at the same moment as a message is decided one way, and then nothing passes', async () => {
    const { messages } = here.context.database.collections;
    const near = await connect(here.url, ada.token, { transports: ['websocket'] });
    const path = `/api/users/me/blocks/${ada.id}`;
    let accepted = await messages.countDocuments({ channelId: new ObjectId(directId) });
    for (let times = 0; times < 6; times++) {
      const from = times % 2 === 0 ? client : near;
      expect(await send(directId, from)).toBe('ok');
      const [, ...codes] = await Promise.all([
        call('put', path, bob),
        ...Array.from({ length: 4 }, () => send(directId, from)),
      ]);
      expect([await send(directId, client), await send(directId, near)]).toEqual([CLOSED, CLOSED]);
      accepted += 1 + codes.filter((code) => code === 'ok').length;
      expect(codes.filter((code) => code !== 'ok' && code !== CLOSED)).toEqual([]);
      expect(await messages.countDocuments({ channelId: new ObjectId(directId) })).toBe(accepted);
      await call('delete', path, bob);
    }
    near.close();
  });

  it('a block counts there also while Redis does not answer', async () => {
    await remember();
    redis.signal('SIGSTOP');
    try {
      await call('put', `/api/users/me/blocks/${ada.id}`, bob);
      expect(await send(directId)).toBe(CLOSED);
    } finally {
      redis.signal('SIGCONT');
    }
  });
});
