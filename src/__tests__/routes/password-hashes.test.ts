import { performance } from 'node:perf_hooks';
import bcrypt from 'bcrypt';
import { ObjectId } from 'mongodb';
import { login, me, refused } from '../fixtures/accounts';
import { PASSWORD, signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';

/** Two nodes on one database: the second is configured with a greater cost. */
let cheap: TestServer;
let dear: TestServer;

beforeAll(async () => {
  cheap = await startTestServer({ BCRYPT_COST: '4' });
  dear = await startTestServer({ BCRYPT_COST: '9' }, { beside: cheap });
});
afterAll(async () => {
  await dear.close();
  await cheap.close();
});

async function costOf({ id }: Person): Promise<number> {
  const user = await cheap.context.database.collections.users.findOne({ _id: new ObjectId(id) });
  return bcrypt.getRounds(user!.passwordHash!);
}

describe('a hash of another cost than the configured one', () => {
  it('is renewed by a log-in, whether the cost has grown or shrunk', async () => {
    const person = await signUp(cheap.api);
    expect(await costOf(person)).toBe(4);
    for (const [server, cost] of [
      [dear, 9],
      [cheap, 4],
    ] as const) {
      const { status, body } = await login(server.api, person);
      expect([status, await costOf(person)]).toEqual([200, cost]);
      expect((await me(server.api, { token: body.accessToken })).status).toBe(200);
    }
    // The sessions from before stand: the password is the same.
    expect((await me(cheap.api, person)).status).toBe(200);
  });

  it('is not by one that is refused', async () => {
    const person = await signUp(cheap.api);
    const { status } = await login(dear.api, person, { password: 'wrong' });
    expect([status, await costOf(person)]).toEqual([401, 4]);
    const { users } = cheap.context.database.collections;
    await users.updateOne(
      { _id: new ObjectId(person.id) },
      { $set: { state: 'banned', ban: { reason: 'A test', bannedAt: new Date() } } },
    );
    expect(await login(dear.api, person)).toMatchObject(refused(403, 'account_banned'));
    expect(await costOf(person)).toBe(4);
  });

  it('lets everybody in who logs in at the same time', async () => {
    const person = await signUp(cheap.api);
    const answers = await Promise.all(Array.from({ length: 5 }, () => login(dear.api, person)));
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect((await me(dear.api, { token: body.accessToken })).status).toBe(200);
    }
  });

  it('does not bring a password back that is changed meanwhile', async () => {
    for (let round = 0; round < 5; round++) {
      const person = await signUp(cheap.api);
      const newPassword = 'a wholly new passphrase';
      const [late, changed] = await Promise.all([
        login(dear.api, person),
        cheap.api.post('/api/auth/password', { password: PASSWORD, newPassword }, person.token),
      ]);
      expect(changed.status).toBe(200);
      if (late.status === 200) {
        const refresh = { refreshToken: late.body.refreshToken };
        expect((await dear.api.post('/api/auth/refresh', refresh)).status).toBe(401);
      }
      expect(await login(cheap.api, person)).toMatchObject(refused(401, 'invalid_credentials'));
      expect((await login(cheap.api, person, { password: newPassword })).status).toBe(200);
    }
  });
});

describe('a password of more bytes than bcrypt reads', () => {
  it('is wrong, even if the bytes that it reads are right', async () => {
    const person = await signUp(cheap.api);
    const longest = 'äöü'.repeat(12);
    const change = { password: PASSWORD, newPassword: longest };
    expect((await cheap.api.post('/api/auth/password', change, person.token)).status).toBe(200);
    expect((await login(cheap.api, person, { password: longest })).status).toBe(200);
    expect(await login(cheap.api, person, { password: `${longest}!` })).toMatchObject(
      refused(401, 'invalid_credentials'),
    );
  });
});

describe('the time of a refusal', () => {
  it('tells no unknown user from a known one, nor from one whose hash was made at a lower cost', async () => {
    const [old, current] = [await signUp(cheap.api), await signUp(dear.api)];
    const people = { unknown: { username: 'nobody' }, current, old };
    const took = { unknown: [] as number[], current: [] as number[], old: [] as number[] };
    for (let round = 0; round < 7; round++) {
      for (const name of ['unknown', 'current', 'old'] as const) {
        const begin = performance.now();
        expect((await login(dear.api, people[name], { password: 'wrong' })).status).toBe(401);
        took[name].push(performance.now() - begin);
      }
    }
    // Without its hash, a refusal takes a tenth of that of the other. The shortest ones have the least of what
    // else the machine does.
    const [unknown, known, outdated] = [took.unknown, took.current, took.old].map((all) => Math.min(...all));
    expect(unknown! / known!).toBeGreaterThan(0.6);
    expect(known! / unknown!).toBeGreaterThan(0.6);
    expect(outdated! / unknown!).toBeGreaterThan(0.6);
  });
});
