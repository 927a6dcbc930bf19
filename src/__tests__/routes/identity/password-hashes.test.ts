import bcrypt from 'bcrypt';
import { ObjectId } from 'mongodb';
import { hashThreads } from '../../../services/identity/hash-workers';
import { PasswordHasher } from '../../../services/identity/password';
import { login, me, refused } from '../../fixtures/accounts';
import type { Answer } from '../../fixtures/api';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';
import { send } from '../../fixtures/uploads';

/** Two nodes on one database: the second is configured with a greater cost. */
let cheap: TestServer;
let expensive: TestServer;

beforeAll(async () => {
  cheap = await startTestServer({ BCRYPT_COST: '4' });
  expensive = await startTestServer({ BCRYPT_COST: '9', TRUST_PROXY: 'true' }, { beside: cheap });
});
afterAll(async () => {
  await expensive.close();
  await cheap.close();
});

async function costOf({ id }: Person): Promise<number> {
  const user = await cheap.context.database.collections.users.findOne({ _id: new ObjectId(id) });
  return bcrypt.getRounds(user!.passwordHash!);
}

describe('a hash with another cost than the configured one', () => {
  it('is renewed by a log-in, whether the cost was raised or lowered', async () => {
    const person = await signUp(cheap.api);
    expect(await costOf(person)).toBe(4);
    for (const [server, cost] of [
      [expensive, 9],
      [cheap, 4],
    ] as const) {
      const { status, body } = await login(server.api, person);
      expect([status, await costOf(person)]).toEqual([200, cost]);
      expect((await me(server.api, { token: body.accessToken })).status).toBe(200);
    }
    // The earlier sessions are still valid, because the password is the same.
    expect((await me(cheap.api, person)).status).toBe(200);
  });

  it('is not renewed by a refused log-in', async () => {
    const person = await signUp(cheap.api);
    const { status } = await login(expensive.api, person, { password: 'wrong' });
    expect([status, await costOf(person)]).toEqual([401, 4]);
    const { users } = cheap.context.database.collections;
    await users.updateOne(
      { _id: new ObjectId(person.id) },
      { $set: { state: 'banned', ban: { reason: 'A test', bannedAt: new Date() } } },
    );
    expect(await login(expensive.api, person)).toMatchObject(refused(403, 'account_banned'));
    expect(await costOf(person)).toBe(4);
  });

  it('admits everyone who logs in at the same time', async () => {
    const person = await signUp(cheap.api);
    const answers = await Promise.all(Array.from({ length: 5 }, () => login(expensive.api, person)));
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect((await me(expensive.api, { token: body.accessToken })).status).toBe(200);
    }
  });

  it('does not restore a password that is changed meanwhile', async () => {
    for (let round = 0; round < 5; round++) {
      const person = await signUp(cheap.api);
      const newPassword = 'a wholly new passphrase';
      const [late, changed] = await Promise.all([
        login(expensive.api, person),
        cheap.api.post('/api/auth/password', { password: PASSWORD, newPassword }, person.token),
      ]);
      expect(changed.status).toBe(200);
      if (late.status === 200) {
        const refresh = { refreshToken: late.body.refreshToken };
        expect((await expensive.api.post('/api/auth/refresh', refresh)).status).toBe(401);
      }
      expect(await login(cheap.api, person)).toMatchObject(refused(401, 'invalid_credentials'));
      expect((await login(cheap.api, person, { password: newPassword })).status).toBe(200);
    }
  });
});

describe('a password with more bytes than bcrypt reads', () => {
  it('is wrong even if the bytes that bcrypt reads are right', async () => {
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

describe('a flood of log-ins from one address', () => {
  const FLOODER = '198.51.100.1';
  const from = (address: string, method: 'post', path: string, body: object, token?: string) =>
    expensive.api.call(method, path, {
      body,
      headers: { 'X-Forwarded-For': address },
      ...(token && { token }),
    });
  const logInFrom = (address: string, identifier: string, password: string) =>
    from(address, 'post', '/api/auth/login', { identifier, password });

  /** Logs in at twice as many unknown accounts as the queue holds. Resolves when the first has been refused. */
  async function flood() {
    const answers: Answer[] = [];
    const all = Array.from({ length: 64 * hashThreads() }, async (_, index) => {
      answers.push(await logInFrom(FLOODER, `nobody-${index}`, 'a wrong guess'));
    });
    const refused = () => answers.filter(({ status }) => status === 429);
    await until(() => refused().length > 0);
    return { ended: Promise.all(all), answers, refused };
  }

  it('is refused in part, and delays neither log-ins from elsewhere nor uploads', async () => {
    const person = await signUp(expensive.api);
    const { ended, answers, refused } = await flood();
    const waiting = () => 33 * hashThreads() - (answers.length - refused().length);
    const atFirst = waiting();
    const [login, upload] = await Promise.all([
      logInFrom('198.51.100.2', person.username, PASSWORD),
      send(expensive.api, person, 'A note'),
    ]);
    expect([login.status, upload.status]).toEqual([200, 201]);
    // It is not at the end of the queue.
    expect(waiting()).toBeGreaterThan(atFirst / 2);
    await ended;
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
    for (const { body, headers } of refused()) {
      expect(body.error.code).toBe('rate_limited');
      expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
    }
  });

  it('does no work for a client that has disconnected', async () => {
    const hash = jest.spyOn(PasswordHasher.prototype, 'hash');
    const { ended } = await flood();
    const abort = new AbortController();
    const input = { username: 'impatient', email: 'impatient@example.org', password: PASSWORD };
    const request = fetch(`${expensive.url}/api/auth/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(input),
      signal: abort.signal,
    });
    await until(() => hash.mock.calls.length === 1);
    abort.abort();
    await expect(request).rejects.toThrow();
    await expect(hash.mock.results[0]!.value).rejects.toMatchObject({ code: 'bad_request' });
    hash.mockRestore();
    await ended;
    const { users } = cheap.context.database.collections;
    expect(await users.findOne({ username: 'impatient' })).toBeNull();
  });
});

describe('the duration of a refused log-in', () => {
  it('is the same for unknown users, known users and users with a cheaper hash', async () => {
    const [old, current] = [await signUp(cheap.api), await signUp(expensive.api)];
    const people = { unknown: { username: 'nobody' }, current, old };
    const took = { unknown: [] as number[], current: [] as number[], old: [] as number[] };
    // Processor time of all threads of this process, which other processes do not lengthen.
    const processorTime = () => {
      const { user, system } = process.cpuUsage();
      return user + system;
    };
    for (let round = 0; round < 7; round++) {
      for (const name of ['unknown', 'current', 'old'] as const) {
        const begin = processorTime();
        expect((await login(expensive.api, people[name], { password: 'wrong' })).status).toBe(401);
        took[name].push(processorTime() - begin);
      }
    }
    // Without the dummy hash, one refusal would take a tenth of the time of the other. The shortest ones contain the
    // least other work of the process.
    const [unknown, known, outdated] = [took.unknown, took.current, took.old].map((all) => Math.min(...all));
    expect(unknown! / known!).toBeGreaterThan(0.6);
    expect(known! / unknown!).toBeGreaterThan(0.6);
    expect(outdated! / unknown!).toBeGreaterThan(0.6);
  });
});
