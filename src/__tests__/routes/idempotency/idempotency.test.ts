import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { requestKeys, type IdempotentRequest } from '../../../services/idempotency/idempotent-request';
import { createContext } from '../../../context';
import { startServer } from '../../../start-server';
import { CLIENT_EVENTS, type ClientEventSpec } from '../../../models/kernel/client-events.model';
import { auditOf, everythingStored, login, refused } from '../../fixtures/accounts';
import { createApi, type Answer, type Api, type Call } from '../../fixtures/api';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { operationsOf } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;
let bruno: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
  ({ ada, bruno } = await signUpAll(server.api, 'ada', 'bruno'));
});
afterAll(async () => {
  for (const client of clients) client.close();
  await server.close();
});

const collections = () => server.context.database.collections;

type Method = Parameters<Api['call']>[0];

/** Makes a call with an idempotency key, as a user or anonymously. */
function keyed(
  method: Method,
  path: string,
  key: string,
  { body, person = ada, api = server.api }: { body?: object; person?: Person | null; api?: Api } = {},
): Promise<Answer> {
  const call: Call = { body, token: person?.token, headers: { 'Idempotency-Key': key } };
  return api.call(method, path, call);
}

const isReplayed = ({ headers }: Answer) => headers['idempotency-replayed'] === 'true';
const newGroup = () => ({ name: `group ${randomUUID()}`, visibility: 'private' });
const countGroups = ({ name }: { name: string }) => collections().groups.countDocuments({ name });

async function connectClient(person: Person): Promise<Client> {
  const client = await connect(server.url, person.token);
  clients.push(client);
  return client;
}

describe('a write that is repeated with its idempotency key', () => {
  test('takes effect once and receives the first answer again', async () => {
    const [key, body] = [randomUUID(), newGroup()];
    const first = await keyed('post', '/api/groups', key, { body });
    expect([first.status, isReplayed(first)]).toEqual([201, false]);
    for (let again = 0; again < 2; again++) {
      const replay = await keyed('post', '/api/groups', key, { body });
      expect([replay.status, replay.body, isReplayed(replay)]).toEqual([201, first.body, true]);
      expect(replay.headers['content-type']).toBe(first.headers['content-type']);
    }
    expect(await countGroups(body)).toBe(1);
  });

  test('is recognised whatever the order of fields and the encoding of texts', async () => {
    const key = randomUUID();
    const name = `Café ${randomUUID()}`;
    const first = await keyed('post', '/api/groups', key, { body: { name, visibility: 'public' } });
    const other = { visibility: 'public', description: '', name: ` ${name.normalize('NFD')} ` };
    const replay = await keyed('post', '/api/groups', key, { body: other });
    expect([replay.body, isReplayed(replay)]).toEqual([first.body, true]);
  });

  test.each([5, 20])('takes effect once when %i arrive at once', async (count) => {
    const [key, body] = [randomUUID(), newGroup()];
    const answers = await Promise.all(
      Array.from({ length: count }, () => keyed('post', '/api/groups', key, { body })),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
    for (const answer of answers) expect(answer.body).toEqual(answers[0]!.body);
    expect(answers.filter((answer) => !isReplayed(answer))).toHaveLength(1);
    expect(await countGroups(body)).toBe(1);
  });

  test('without a response body has none again', async () => {
    const key = randomUUID();
    const path = `/api/users/me/blocks/${bruno.id}`;
    const first = await keyed('put', path, key);
    const replay = await keyed('put', path, key);
    for (const { status, body, headers } of [first, replay]) {
      expect([status, body, headers['content-type']]).toEqual([204, {}, undefined]);
    }
    expect([isReplayed(first), isReplayed(replay)]).toEqual([false, true]);
  });

  test('receives the first answer even if the state has changed since', async () => {
    const { groupId } = await createRoom(server.api, ada, [bruno]);
    const [key, path] = [randomUUID(), `/api/groups/${groupId}/members`];
    const body = { userId: (await signUp(server.api)).id };
    expect((await keyed('post', path, key, { body })).status).toBe(201);
    expect((await server.api.delete(`${path}/${body.userId}`, ada.token)).status).toBe(204);
    expect((await keyed('post', path, key, { body })).status).toBe(201);
    expect((await server.api.get(path, ada.token)).body.members).toHaveLength(2);
    // Without the key the write is performed again.
    expect((await server.api.post(path, body, ada.token)).status).toBe(201);
    expect((await server.api.get(path, ada.token)).body.members).toHaveLength(3);
  });

  test('sends its events once', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const path = `/api/channels/${channelId}/messages`;
    const sent = await server.api.post(path, { clientMessageId: randomUUID(), body: 'First' }, ada.token);
    const client = await connectClient(ada);
    const key = randomUUID();
    const edit = () =>
      keyed('patch', `/api/messages/${sent.body.message.id}`, key, { body: { body: 'Second' } });
    await Promise.all([edit(), edit(), edit()]);
    await server.api.post(path, { clientMessageId: 'last', body: 'Last' }, ada.token);
    await client.waitForMessage(({ message }) => message.clientMessageId === 'last');
    expect(client.messages.map(({ event }) => event)).toEqual(['message:updated', 'message:created']);
  });
});

describe('an idempotency key', () => {
  test('belongs to one request: another body, path or operation is refused', async () => {
    const [key, body] = [randomUUID(), newGroup()];
    const { groupId } = await createRoom(server.api, ada);
    expect((await keyed('post', '/api/groups', key, { body })).status).toBe(201);
    const other = newGroup();
    const reused = refused(422, 'idempotency_key_reused');
    expect(await keyed('post', '/api/groups', key, { body: other })).toMatchObject(reused);
    expect(await keyed('patch', '/api/users/me', key, { body: { bio: 'b' } })).toMatchObject(reused);
    const leave = await keyed('post', `/api/groups/${groupId}/leave`, key);
    expect(leave).toMatchObject(reused);
    expect(await countGroups(other)).toBe(0);
    // The same body under another path, too.
    const [blockKey, guest] = [randomUUID(), await signUp(server.api)];
    expect((await keyed('put', `/api/users/me/blocks/${bruno.id}`, blockKey)).status).toBe(204);
    expect(await keyed('put', `/api/users/me/blocks/${guest.id}`, blockKey)).toMatchObject(reused);
    // The first answer is still recorded.
    expect(isReplayed(await keyed('post', '/api/groups', key, { body }))).toBe(true);
  });

  test('of one of many concurrent requests is refused to different requests', async () => {
    const key = randomUUID();
    const bodies = Array.from({ length: 6 }, newGroup);
    const answers = await Promise.all(bodies.map((body) => keyed('post', '/api/groups', key, { body })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422, 422, 422, 422, 422]);
    const made = await Promise.all(bodies.map(countGroups));
    expect(made.reduce((sum, count) => sum + count)).toBe(1);
  });

  test('is separate for each user', async () => {
    const key = randomUUID();
    const [one, other] = [newGroup(), newGroup()];
    const first = await keyed('post', '/api/groups', key, { body: one });
    const second = await keyed('post', '/api/groups', key, { body: other, person: bruno });
    expect([first.status, second.status, isReplayed(second)]).toEqual([201, 201, false]);
    expect(second.body.group.id).not.toBe(first.body.group.id);
  });

  test.each([
    ['empty', ''],
    ['129 characters long', 'k'.repeat(129)],
    ['two words', 'two words'],
    ['not ASCII', 'ké'],
  ])('that is %s is refused', async (_name, key) => {
    const body = newGroup();
    const answer = await keyed('post', '/api/groups', key, { body });
    expect(answer).toMatchObject(refused(400, 'validation_failed'));
    expect(answer.body.error.details[0].path).toBe('Idempotency-Key');
    expect(await countGroups(body)).toBe(0);
  });

  test.each(['x', 'k'.repeat(128), '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '$where', '__proto__'])(
    'may be %s',
    async (key) => {
      const body = newGroup();
      const first = await keyed('post', '/api/groups', key, { body });
      expect(first.status).toBe(201);
      expect((await keyed('post', '/api/groups', key, { body })).body).toEqual(first.body);
    },
  );

  test('has no meaning for a read', async () => {
    const key = randomUUID();
    const read = () => keyed('get', '/api/auth/me', key);
    expect((await read()).body.user.bio).toBe('');
    await server.api.patch('/api/users/me', { bio: 'Changed' }, ada.token);
    const again = await read();
    expect([again.body.user.bio, isReplayed(again)]).toEqual(['Changed', false]);
    expect((await keyed('get', '/api/auth/me', 'k'.repeat(200))).status).toBe(200);
  });
});

describe('a refused write', () => {
  test('leaves no record: the same request may be repeated with its key', async () => {
    const key = randomUUID();
    const body = newGroup();
    const taken = await server.api.post('/api/groups', body, bruno.token);
    const records = await collections().idempotencyKeys.countDocuments();
    for (let again = 0; again < 2; again++) {
      const answer = await keyed('post', '/api/groups', key, { body });
      expect(answer).toMatchObject(refused(409, 'group_name_taken'));
      expect(isReplayed(answer)).toBe(false);
    }
    expect(await collections().idempotencyKeys.countDocuments()).toBe(records);
    await collections().groups.deleteOne({ name: taken.body.group.name });
    const done = await keyed('post', '/api/groups', key, { body });
    expect([done.status, isReplayed(done)]).toEqual([201, false]);
    expect((await keyed('post', '/api/groups', key, { body })).body).toEqual(done.body);
  });

  test('releases its key for other requests', async () => {
    const key = randomUUID();
    const unknown = `/api/groups/${'0'.repeat(24)}/join`;
    expect(await keyed('post', unknown, key)).toMatchObject(refused(404, 'not_found'));
    expect((await keyed('post', '/api/groups', key, { body: newGroup() })).status).toBe(201);
  });

  test.each([
    ['without a token', { person: null }, 401],
    ['with an invalid body', { body: { name: 7 } }, 400],
  ])('%s is refused before its key is looked up', async (_name, call, status) => {
    const [key, body] = [randomUUID(), newGroup()];
    await keyed('post', '/api/groups', key, { body });
    expect((await keyed('post', '/api/groups', key, { body, ...call })).status).toBe(status);
  });
});

describe('requests that return tokens', () => {
  const anonymous = (path: string, key: string, body: object) =>
    keyed('post', path, key, { body, person: null });

  const account = () => {
    const username = `twice${randomUUID().slice(0, 8)}`;
    return { username, email: `${username}@example.org`, password: PASSWORD };
  };

  test('a refresh whose answer was lost receives the same new pair, and the session lives', async () => {
    const person = await signUp(server.api);
    const [key, body] = [randomUUID(), { refreshToken: person.refreshToken }];
    const first = await anonymous('/api/auth/refresh', key, body);
    const replay = await anonymous('/api/auth/refresh', key, body);
    expect([first.status, isReplayed(replay)]).toEqual([200, true]);
    expect(replay.body).toEqual(first.body);
    const { accessToken, refreshToken } = replay.body;
    expect((await server.api.get('/api/auth/me', accessToken)).status).toBe(200);
    expect((await server.api.post('/api/auth/refresh', { refreshToken })).status).toBe(200);
    // Without the key, or with another one, a used token counts as stolen.
    expect(await anonymous('/api/auth/refresh', randomUUID(), body)).toMatchObject(
      refused(401, 'refresh_token_reused'),
    );
  });

  test('many concurrent log-ins with one key open one session', async () => {
    const person = await signUp(server.api);
    const [key, body] = [randomUUID(), { identifier: person.username, password: PASSWORD }];
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => anonymous('/api/auth/login', key, body)),
    );
    expect(new Set(answers.map((answer) => answer.body.refreshToken)).size).toBe(1);
    const { body: list } = await server.api.get('/api/auth/sessions', answers[0]!.body.accessToken);
    expect(list.sessions).toHaveLength(2);
  });

  test('a repeated registration makes one account', async () => {
    const [key, body] = [randomUUID(), account()];
    const first = await anonymous('/api/auth/register', key, body);
    const replay = await anonymous('/api/auth/register', key, body);
    expect([first.status, replay.status, isReplayed(replay)]).toEqual([201, 201, true]);
    expect(replay.body).toEqual(first.body);
    expect(await collections().users.countDocuments({ username: body.username })).toBe(1);
  });

  test('a log-in with a wrong password is not recorded, and reveals nothing about recorded ones', async () => {
    const person = await signUp(server.api);
    const key = randomUUID();
    const body = { identifier: person.username, password: PASSWORD };
    const wrong = { ...body, password: 'wrong' };
    expect(await anonymous('/api/auth/login', key, wrong)).toMatchObject(refused(401, 'invalid_credentials'));
    expect((await anonymous('/api/auth/login', key, body)).status).toBe(200);
    const other = await anonymous('/api/auth/login', key, wrong);
    expect(other).toMatchObject(refused(401, 'invalid_credentials'));
    expect(JSON.stringify(other.body)).not.toContain('accessToken');
  });

  test('a key that two users happen to share is separate for each of them', async () => {
    const [one, two] = [await signUp(server.api), await signUp(server.api)];
    const key = '5a8f1c52-9d0e-4a67-8b0c-3f2f7e1d9a44';
    const calls: [string, object, object][] = [
      ['register', account(), account()],
      [
        'login',
        { identifier: one.username, password: PASSWORD },
        { identifier: two.username, password: PASSWORD },
      ],
      ['refresh', { refreshToken: one.refreshToken }, { refreshToken: two.refreshToken }],
    ];
    for (const [act, ofOne, ofTwo] of calls) {
      const path = `/api/auth/${act}`;
      const answers = [await anonymous(path, key, ofOne), await anonymous(path, key, ofTwo)];
      for (const answer of answers) expect([200, 201]).toContain(answer.status);
      expect(answers.map(isReplayed)).toEqual([false, false]);
      const [first, second] = answers.map(({ body }) => body);
      expect(second.user.id).not.toBe(first.user.id);
      // Each of them receives their own answer again.
      expect((await anonymous(path, key, ofTwo)).body).toEqual(second);
      expect((await anonymous(path, key, ofOne)).body).toEqual(first);
    }
  });

  test('the id of a record without a user cannot be derived from the password and the key', async () => {
    const person = await signUp(server.api);
    const [key, body] = [randomUUID(), { identifier: person.username, password: PASSWORD }];
    expect((await anonymous('/api/auth/login', key, body)).status).toBe(200);
    const request: IdempotentRequest = {
      key,
      userId: undefined,
      operation: 'login',
      input: [body],
      mode: 'recorded',
    };
    const record = (secret: string) =>
      collections().idempotencyKeys.findOne({ _id: requestKeys(request, secret).recordId });
    expect(await record(server.context.config.encryptionKey)).not.toBeNull();
    expect(await record('another secret of more than 32 characters')).toBeNull();
  });

  test('the database contains no key, token, code or password in plain text', async () => {
    const person = await signUp(server.api);
    const key = `secret-${randomUUID()}`;
    const login = { identifier: person.username, password: PASSWORD };
    const { body } = await anonymous('/api/auth/login', key, login);
    const setup = await keyed('post', '/api/auth/totp/setup', key, { body: { password: PASSWORD }, person });
    expect([setup.status, isReplayed(setup)]).toEqual([200, false]);
    const stored = await everythingStored(server);
    for (const secret of [key, body.accessToken, body.refreshToken, setup.body.secret, PASSWORD]) {
      expect(stored).not.toContain(secret);
    }
  });

  test.each<[string, (person: Person) => object]>([
    ['register', () => account()],
    ['login', ({ username }) => ({ identifier: username, password: PASSWORD })],
    ['refresh', ({ refreshToken }) => ({ refreshToken })],
  ])('%s is replayed after its session has ended, with tokens that are no longer valid', async (act, of) => {
    const person = await signUp(server.api);
    const [path, key, body] = [`/api/auth/${act}`, randomUUID(), of(person)];
    const first = (await anonymous(path, key, body)).body;
    expect((await server.api.get('/api/auth/me', first.accessToken)).status).toBe(200);
    const ended = await server.api.post('/api/auth/logout-everywhere', undefined, first.accessToken);
    expect(ended.status).toBe(204);

    const replay = await anonymous(path, key, body);
    expect([isReplayed(replay), replay.body]).toEqual([true, first]);
    const { accessToken, refreshToken } = replay.body;
    const refusal = refused(401, 'session_revoked');
    expect(await server.api.get('/api/auth/me', accessToken)).toMatchObject(refusal);
    expect(await server.api.post('/api/auth/refresh', { refreshToken })).toMatchObject(
      refused(401, 'refresh_token_invalid'),
    );
    await expect(connect(server.url, accessToken)).rejects.toMatchObject({
      data: { code: 'session_revoked' },
    });
    // Another log-in does not prevent the replay, nor does it make its tokens valid.
    expect((await login(server.api, { username: first.user.username })).status).toBe(200);
    expect(await server.api.get('/api/auth/me', accessToken)).toMatchObject(refusal);
    const stored = await everythingStored(server);
    for (const secret of [key, accessToken, refreshToken, PASSWORD]) expect(stored).not.toContain(secret);
  });

  test('a replay requires that the caller is still logged in', async () => {
    const person = await signUp(server.api);
    const key = randomUUID();
    expect((await keyed('post', '/api/auth/logout', key, { person })).status).toBe(204);
    expect(await keyed('post', '/api/auth/logout', key, { person })).toMatchObject(
      refused(401, 'session_revoked'),
    );
  });
});

describe('privileged actions', () => {
  test('that are repeated are in the audit log once, and have taken effect when they are answered', async () => {
    const person = await signUp(server.api);
    const client = await connect(server.url, person.token, { reconnection: false });
    const ended = new Promise((resolve) => client.socket.once('auth:ended', resolve));
    const [key, path] = [randomUUID(), `/api/admin/users/${person.id}/suspend`];
    const suspend = () => keyed('post', path, key, { body: { reason: 'A test' } });
    const answers = await Promise.all([suspend(), suspend(), suspend()]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await ended).toEqual({ reason: 'account_suspended' });
    expect((await server.api.get('/api/auth/me', person.token)).status).toBe(401);
    expect((await auditOf(server, person)).map(({ action }) => action)).toEqual(['user.suspended']);
    expect(
      await collections().sessions.countDocuments({ userId: new ObjectId(person.id), revokedAt: null }),
    ).toBe(0);
  });

  test('also end the sessions that begin while they run', async () => {
    const person = await signUp(server.api);
    const login = { identifier: person.username, password: PASSWORD };
    let begun: Answer | undefined;
    // The transaction that ends the sessions cannot see this one, which begins before the answer.
    const unsubscribe = server.context.bus.subscribe(async (event) => {
      if (event.type !== 'session.revoked' || event.userId.toHexString() !== person.id) return;
      unsubscribe();
      begun = await server.api.post('/api/auth/login', login);
    });
    const answer = await keyed('post', `/api/admin/users/${person.id}/logout`, randomUUID());
    expect([answer.status, begun?.status]).toEqual([204, 200]);
    expect((await server.api.get('/api/auth/me', begun?.body.accessToken)).status).toBe(401);
  });
});

describe('over a socket', () => {
  async function sendMessage(): Promise<string> {
    const { channelId } = await createRoom(server.api, ada);
    const body = { clientMessageId: randomUUID(), body: 'Hello' };
    return (await server.api.post(`/api/channels/${channelId}/messages`, body, ada.token)).body.message.id;
  }
  const edit = (messageId: string, key: string, body: string) =>
    keyed('patch', `/api/messages/${messageId}`, key, { body: { body } });

  test('a repeated write takes effect once, is published once, and is marked as replayed', async () => {
    const client = await connectClient(ada);
    const messageId = await sendMessage();
    const payload = { messageId, body: 'Edited', idempotencyKey: randomUUID() };
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.ask('message:edit', payload)));
    const [first] = answers.filter((answer) => answer.ok && !answer.replayed);
    expect(first).toMatchObject({ ok: true, data: { message: { body: 'Edited' } } });
    const replays = answers.filter((answer) => answer !== first);
    expect(replays).toEqual(replays.map(() => ({ ...first, replayed: true })));
    await client.waitForMessage(
      ({ event, message }) => event === 'message:updated' && message.id === messageId,
    );
    const again = await client.ask('message:delete', { messageId });
    expect(again).toMatchObject({ ok: true, data: { message: { revision: 3 } } });
  });

  test.each(['REST first', 'the socket first'])('a key applies to both transports: %s', async (order) => {
    const client = await connectClient(ada);
    const messageId = await sendMessage();
    const idempotencyKey = randomUUID();
    const rest = () => edit(messageId, idempotencyKey, 'Edited');
    const socket = () => client.ask('message:edit', { messageId, body: 'Edited', idempotencyKey });
    if (order === 'REST first') {
      const { status, body } = await rest();
      expect(status).toBe(200);
      expect(await socket()).toEqual({ ok: true, data: body, replayed: true });
    } else {
      const answer = await socket();
      expect(answer).toMatchObject({ ok: true, data: { message: { body: 'Edited' } } });
      const replay = await rest();
      expect([replay.status, isReplayed(replay)]).toEqual([200, true]);
      expect({ ok: true, data: replay.body }).toEqual(answer);
    }
    const other = await client.ask('message:edit', { messageId, body: 'Another', idempotencyKey });
    expect(other).toMatchObject({ ok: false, error: { code: 'idempotency_key_reused' } });
    expect(await edit(messageId, idempotencyKey, 'Another')).toMatchObject(
      refused(422, 'idempotency_key_reused'),
    );
  });

  test('a refused write may be sent again', async () => {
    const client = await connectClient(ada);
    const idempotencyKey = randomUUID();
    const wrong = await client.ask('message:delete', { messageId: '0'.repeat(24), idempotencyKey });
    expect(wrong).toMatchObject({ ok: false, error: { code: 'not_found' } });
    const messageId = await sendMessage();
    const done = await client.ask('message:delete', { messageId, idempotencyKey });
    expect(done).toMatchObject({ ok: true, data: { message: { body: '' } } });
  });

  test.each(['', 'k'.repeat(129), 'two words', 7, null, {}])(
    'the key %j is refused',
    async (idempotencyKey) => {
      const client = await connectClient(ada);
      const answer = await client.ask('message:delete', { messageId: '0'.repeat(24), idempotencyKey });
      expect(answer).toMatchObject({ ok: false, error: { code: 'validation_failed' } });
    },
  );
});

describe('another node, or the same one after a restart', () => {
  let other: { api: Api; close(): Promise<void> };

  beforeAll(async () => {
    const { config, database } = server.context;
    const context = await createContext(config, { database });
    const running = await startServer(context);
    other = {
      api: await createApi(running.url),
      close: async () => {
        await running.close();
        await context.close();
      },
    };
  });
  afterAll(() => other.close());

  test('returns the first answer', async () => {
    const [key, body] = [randomUUID(), newGroup()];
    const first = await keyed('post', '/api/groups', key, { body });
    const replay = await keyed('post', '/api/groups', key, { body, api: other.api });
    expect([replay.body, isReplayed(replay)]).toEqual([first.body, true]);
    const changed = await keyed('post', '/api/groups', key, { body: newGroup(), api: other.api });
    expect(changed).toMatchObject(refused(422, 'idempotency_key_reused'));
  });

  test('and this one, called many times at once, perform the write once', async () => {
    for (let round = 0; round < 3; round++) {
      const [key, body] = [randomUUID(), newGroup()];
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          keyed('post', '/api/groups', key, { body, api: index % 2 ? other.api : server.api }),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
      for (const answer of answers) expect(answer.body).toEqual(answers[0]!.body);
      expect(answers.filter((answer) => !isReplayed(answer))).toHaveLength(1);
      expect(await countGroups(body)).toBe(1);
    }
  });

  test('and this one, asked to refresh at once, return one pair', async () => {
    const { refreshToken } = await signUp(server.api);
    const key = randomUUID();
    const answers = await Promise.all(
      [server.api, other.api, server.api, other.api].map((api) =>
        keyed('post', '/api/auth/refresh', key, { body: { refreshToken }, person: null, api }),
      ),
    );
    for (const answer of answers) expect([answer.status, answer.body]).toEqual([200, answers[0]!.body]);
  });

  test('returns the answer that was lost because the first node died after the write', async () => {
    const [key, body] = [randomUUID(), newGroup()];
    let die = () => {};
    const dead = new Promise<void>((resolve) => (die = resolve));
    const committed = new Promise<void>((resolve) => {
      // The events of a write are published after its commit and before its answer.
      const unsubscribe = server.context.bus.subscribe((event) => {
        if (event.type !== 'group.created') return;
        unsubscribe();
        resolve();
        return dead;
      });
    });
    let answered = false;
    const lost = keyed('post', '/api/groups', key, { body }).finally(() => (answered = true));
    await committed;
    const replay = await keyed('post', '/api/groups', key, { body, api: other.api });
    expect([replay.status, isReplayed(replay), answered]).toEqual([201, true, false]);
    expect(await countGroups(body)).toBe(1);
    die();
    expect((await lost).body).toEqual(replay.body);
  });
});

describe('an idempotency record', () => {
  test('is kept for a day and then removed by the database', async () => {
    const indexes = await collections().idempotencyKeys.indexes();
    expect(indexes).toContainEqual(expect.objectContaining({ key: { expiresAt: 1 }, expireAfterSeconds: 0 }));
    await keyed('patch', '/api/users/me', randomUUID(), { body: { bio: 'b' } });
    const [record] = await collections().idempotencyKeys.find().sort({ expiresAt: -1 }).limit(1).toArray();
    const left = record!.expiresAt.getTime() - Date.now();
    expect(left).toBeGreaterThan(23.9 * 3600_000);
    expect(left).toBeLessThanOrEqual(24 * 3600_000);
  });

  test('is ignored after its expiry, even if it still exists', async () => {
    const key = randomUUID();
    const change = (bio: string) => keyed('patch', '/api/users/me', key, { body: { bio } });
    await change('first');
    expect(await change('second')).toMatchObject(refused(422, 'idempotency_key_reused'));
    await collections().idempotencyKeys.updateMany({}, { $set: { expiresAt: new Date(Date.now() - 1) } });
    const repeated = await change('second');
    expect([repeated.body.user.bio, isReplayed(repeated)]).toEqual(['second', false]);
    expect(isReplayed(await change('second'))).toBe(true);
  });
});

describe('the API documents', () => {
  let document: any;
  beforeAll(async () => {
    document = (await server.api.get('/openapi.json')).body;
  });

  /** POST routes that change nothing. */
  const READS = ['sync', 'linkAttachments'];

  test('declare the header for every write and for no read', () => {
    for (const { method, path, operationId } of operationsOf(document)) {
      const parameters: any[] = document.paths[path][method].parameters ?? [];
      const header = parameters
        .filter((each) => each.in === 'header' && each.name !== 'X-Parley-Client')
        .map(({ name, required }) => [name, required]);
      expect([operationId, header]).toEqual([
        operationId,
        method === 'get' || READS.includes(operationId) ? [] : [['Idempotency-Key', false]],
      ]);
    }
  });

  test('agree on the input and output of an event and the corresponding REST operation', () => {
    const operations = operationsOf(document);
    const without: string[] = [];
    for (const [event, spec] of Object.entries<ClientEventSpec>(CLIENT_EVENTS)) {
      if (spec.operation === undefined) without.push(event);
      const { path, method, params } =
        operations.find(({ operationId }) => operationId === spec.operation) ?? {};
      if (!path || !method) continue;
      const { responses, requestBody } = document.paths[path][method];
      expect(Object.keys(responses)).toEqual(['200', 'default']);
      const shape = (schema: any) => Object.keys(schema.properties ?? {});
      const reference = requestBody?.content['application/json'].schema.$ref?.split('/').at(-1);
      const body = reference ? shape(document.components.schemas[reference]) : [];
      const taken = shape(z.toJSONSchema(spec.payload, { io: 'input' }));
      expect([event, taken.sort()]).toEqual([event, [...params!, ...body, 'idempotencyKey'].sort()]);
      const answered = responses[200].content['application/json'].schema;
      expect([event, shape(z.toJSONSchema(spec.data))]).toEqual([event, shape(answered)]);
    }
    const storesNothing = ['auth:refresh', 'presence:report', 'typing:start', 'typing:stop', 'sync'];
    const hasClientMessageId = ['message:send', 'message:forward'];
    // Measurements are for statistics only.
    const measures = ['call:report_quality'];
    expect(without.sort()).toEqual([...storesNothing, ...hasClientMessageId, ...measures].sort());
  });
});
