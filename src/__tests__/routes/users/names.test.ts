import { refused } from '../../fixtures/accounts';
import { createRoom, PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let owner: Person;

beforeAll(async () => {
  server = await startTestServer();
  owner = await signUp(server.api, 'owner');
});
afterAll(() => server.close());

const register = (username: string, more: object = {}) =>
  server.api.post('/api/auth/register', {
    username,
    email: `${username}.${++addresses}@example.org`,
    password: PASSWORD,
    ...more,
  });
let addresses = 0;
const newGroup = (name: string) =>
  server.api.post('/api/groups', { name, visibility: 'public' }, owner.token);

/** Names that are unreadable, or that change how the surrounding text is read. */
const UNREADABLE = [
  '\u200b\u200b',
  '\u3164',
  '\u2800',
  '\u0301\u0302',
  'Ada\u200b',
  '\u202eadA',
  '\u2066Ada\u2069',
  'A\u00adda',
  'Ada\ue000',
  'Ada\u{e0000}',
  `Ada${'\u0301\u0302\u0303\u0304\u0305\u0306'}`,
  '\u0301Ada',
];
/** Names in many scripts and forms. */
const LEGITIMATE = ['می‌خواهم', 'דָּוִד', 'Nguyễn Thị', 'श्री राम', '👩‍🚀 crew', 'ภาษาไทย', '東京', 'Łukasz'];

/** Every call that sets a name. */
async function namingCalls(): Promise<[string, (name: string) => Promise<{ status: number; body: any }>][]> {
  const { api } = server;
  const { groupId, channelId } = await createRoom(api, owner);
  const person = await signUp(api, 'named');
  return [
    ['registering', (displayName) => register(`named.${++addresses}`, { displayName })],
    ['a profile', (displayName) => api.patch('/api/users/me', { displayName }, person.token)],
    ['a new group', newGroup],
    ['a group', (name) => api.patch(`/api/groups/${groupId}`, { name }, owner.token)],
    ['a new channel', (name) => api.post('/api/channels', { groupId, name }, owner.token)],
    ['a channel', (name) => api.patch(`/api/channels/${channelId}`, { name }, owner.token)],
  ];
}

it('an unreadable name is refused wherever a name is given', async () => {
  for (const [, give] of await namingCalls()) {
    for (const name of UNREADABLE) expect(await give(name)).toMatchObject(refused(400, 'validation_failed'));
  }
});

it('names in all scripts are stored unchanged, including joiners and accents', async () => {
  for (const [what, give] of await namingCalls()) {
    for (const name of LEGITIMATE) {
      const { status, body } = await give(`${name} ${what}`);
      expect([what, name, Math.floor(status / 100)]).toEqual([what, name, 2]);
      expect(JSON.stringify(body)).toContain(`${name} ${what}`);
    }
  }
});

describe('usernames', () => {
  it('are refused when they look like an existing one, in any case', async () => {
    expect((await register('Modern.l0l')).status).toBe(201);
    for (const name of ['modern.l0l', 'MODERN.L0L', 'modem.l0l', 'modern.lol', 'modern.1o1', 'Modern.I0I']) {
      expect(await register(name)).toMatchObject(refused(409, 'username_taken'));
    }
    expect((await register('modern.l2l')).status).toBe(201);
  });

  it('are given to one of many who register look-alikes at once', async () => {
    const names = ['race.al1', 'race.a1l', 'race.all', 'RACE.ALL', 'race.aIl'];
    const answers = await Promise.all(names.map((name) => register(name, { displayName: 'Racer' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409]);
    for (const { status, body } of answers)
      if (status === 409) expect(body.error.code).toBe('username_taken');
  });

  it('become available when the account is deleted, and stay taken when it is banned', async () => {
    const { body } = await register('goes.l1');
    const person = { token: body.accessToken as string, body: { password: PASSWORD } };
    expect((await server.api.call('delete', '/api/users/me', person)).status).toBe(204);
    expect((await register('goes.ll')).status).toBe(201);
    const banned = await register('banned.l1');
    const path = `/api/admin/users/${banned.body.user.id}/ban`;
    expect((await server.api.post(path, { reason: 'Spam' }, owner.token)).status).toBe(200);
    expect(await register('banned.ll')).toMatchObject(refused(409, 'username_taken'));
  });
});

describe('display names', () => {
  const rename = ({ token }: Pick<Person, 'token'>, displayName: string) =>
    server.api.patch('/api/users/me', { displayName }, token);

  it('may equal those of others, but not merely look like them', async () => {
    const [one, other] = [await signUp(server.api, 'shown'), await signUp(server.api, 'shown')];
    expect((await rename(one, 'Bob Miller')).status).toBe(200);
    for (const same of ['Bob Miller', 'bob  miller', 'BOB MILLER'])
      expect((await rename(other, same)).status).toBe(200);
    for (const alike of ['Воb Miller', 'B0b Miller', 'Bob MiIler', 'Bob Мiller']) {
      expect(await rename(other, alike)).toMatchObject(refused(409, 'display_name_taken'));
      expect(await register(`shown.${++addresses}`, { displayName: alike })).toMatchObject(
        refused(409, 'display_name_taken'),
      );
    }
    expect((await rename(other, 'Rob Miller')).status).toBe(200);
  });

  it("may not look like the username of another user, but like one's own", async () => {
    const [imitated, other] = [await signUp(server.api, 'imitable.l'), await signUp(server.api, 'shown')];
    const alike = imitated.username.replace('imitable.l', 'imitable.1');
    expect(await rename(other, alike)).toMatchObject(refused(409, 'display_name_taken'));
    expect((await rename(other, imitated.username)).status).toBe(200);
    expect((await rename(other, 'Somebody Else')).status).toBe(200);
    expect((await rename(imitated, alike)).status).toBe(200);
  });

  it('"Ian" and "Lan" are different names', async () => {
    const [ian, lan] = [await signUp(server.api, 'shown'), await signUp(server.api, 'shown')];
    expect((await rename(ian, 'Ian')).status).toBe(200);
    expect((await rename(lan, 'Lan')).status).toBe(200);
    expect(await rename(lan, 'lan')).toMatchObject(refused(409, 'display_name_taken'));
  });
});

describe('names of groups and channels', () => {
  it('of groups are refused when they look like an existing one', async () => {
    expect((await newGroup('Café Soho 10')).status).toBe(201);
    for (const name of [
      'café soho 10',
      'CAFÉ  SOHO 10',
      'Cafe\u0301 Ѕoho 10',
      'Café Soho lO',
      'Ｃafé Soho 10',
    ]) {
      expect(await newGroup(name)).toMatchObject(refused(409, 'group_name_taken'));
    }
    const other = await newGroup('Cafe Soho 10');
    expect(other.status).toBe(201);
    const path = `/api/groups/${other.body.group.id}`;
    expect(await server.api.patch(path, { name: 'Саfé Soho 10' }, owner.token)).toMatchObject(
      refused(409, 'group_name_taken'),
    );
    for (const name of ['CAFE Soho 10', 'Cafe Soho 10', 'Cafe Soho 11', 'Cafe Soho 10']) {
      expect((await server.api.patch(path, { name }, owner.token)).status).toBe(200);
    }
  });

  it('of groups are given to one of many who use look-alikes at once', async () => {
    const names = ['Race l', 'race 1', 'RАCE l', 'rаce l'];
    const answers = await Promise.all(names.map(newGroup));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
  });

  it('of channels are refused in the same group, and accepted in any other', async () => {
    const { api } = server;
    const [one, other] = [await createRoom(api, owner), await createRoom(api, owner)];
    for (const name of ['GENERAL', 'gеneral', 'genera1']) {
      const input = { groupId: one.groupId, name };
      expect(await api.post('/api/channels', input, owner.token)).toMatchObject(
        refused(409, 'channel_name_taken'),
      );
    }
    const random = await api.post('/api/channels', { groupId: other.groupId, name: 'random' }, owner.token);
    const path = `/api/channels/${random.body.channel.id}`;
    expect(await api.patch(path, { name: 'genera1' }, owner.token)).toMatchObject(
      refused(409, 'channel_name_taken'),
    );
    for (const name of ['Random', 'rand0m', 'random']) {
      expect((await api.patch(path, { name, visibility: 'private' }, owner.token)).status).toBe(200);
    }
    expect((await api.patch(path, { name: 'open', visibility: 'public' }, owner.token)).status).toBe(200);
    const free = { groupId: other.groupId, name: 'random' };
    expect((await api.post('/api/channels', free, owner.token)).status).toBe(201);
  });

  it('a name with a very long compatibility form is accepted or refused, without a server error', async () => {
    const long = await newGroup('\ufdfa'.repeat(80));
    expect([201, 400]).toContain(long.status);
    expect([409, 400]).toContain((await newGroup('\ufdfa'.repeat(80))).status);
  });
});

describe('search by prefix', () => {
  it('does not depend on case, accents or the characters that follow', async () => {
    const { api } = server;
    const ids: string[] = [];
    for (const name of ['Ünique É', 'unique 😀', 'UNIQUE\u00a0b'])
      ids.push((await newGroup(name)).body.group.id);
    for (const query of ['uniq', 'ÜNIQUE', 'ｕｎｉｑｕｅ']) {
      const { body } = await api.get('/api/admin/groups', owner.token, { query });
      expect(body.groups.map(({ id }: { id: string }) => id).sort()).toEqual([...ids].sort());
    }
    expect((await api.get('/api/admin/groups', owner.token, { query: 'unique e' })).body.groups).toHaveLength(
      1,
    );
    for (const path of ['/api/admin/groups', '/api/admin/channels', '/api/admin/users', '/api/users']) {
      const { status, body } = await api.get(path, owner.token, { query: '\u200b' });
      expect([status, Object.values(body)[0]]).toEqual([200, []]);
    }
  });
});

describe('addresses at log-in', () => {
  const logIn = async (identifier: string) =>
    (await server.api.post('/api/auth/login', { identifier, password: PASSWORD })).status;

  it('are accepted in any case, width and form of the domain, as are names', async () => {
    const { status, body } = await register('Zoe.Widely', { email: 'Zoe@bücher.example' });
    expect([status, body.user.email]).toEqual([201, 'Zoe@xn--bcher-kva.example']);
    for (const identifier of [
      'zoe.widely',
      ' ZOE.WIDELY',
      'ｚｏｅ.ｗｉｄｅｌｙ',
      'zoe@bücher.example',
      'ZOE@BÜCHER.EXAMPLE',
      'zoe@bu\u0308cher.example',
      'zoe@XN--BCHER-KVA.example',
    ]) {
      expect([identifier, await logIn(identifier)]).toEqual([identifier, 200]);
    }
    for (const identifier of ['zoe.wide1y', 'z0e.widely', 'zoe@bucher.example', '\u200b', '@', 'zoe@']) {
      expect([identifier, await logIn(identifier)]).toEqual([identifier, 401]);
    }
    for (const email of ['ZOE@bücher.example', 'zoe@xn--bcher-kva.example']) {
      expect(await register('zoe.other', { email })).toMatchObject(refused(409, 'email_taken'));
    }
    const { body: found } = await server.api.get('/api/admin/users', owner.token, {
      query: 'zoe@BÜCHER.example',
      field: 'email',
    });
    expect(found.users).toHaveLength(1);
  });

  it.each(['no-address', 'a@b', 'a@ü/example.org', 'a@exa mple.org', 'ä@example.org', 'a@-.example'])(
    'are refused as %j',
    async (email) =>
      expect(await register('bad.address', { email })).toMatchObject(refused(400, 'validation_failed')),
  );
});
