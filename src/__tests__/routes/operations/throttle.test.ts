import { THROTTLES } from '../../../models/operations/throttle.model';
import type { AppError } from '../../../utils/errors';
import { login, refused } from '../../fixtures/accounts';
import { openMailbox, type Mailbox } from '../../fixtures/mail';
import { createRoom, PASSWORD, signUp, type Person } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { fillPath, operationsOf } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { signUpWithTotp } from '../../fixtures/totp';
import { until } from '../../fixtures/until';

const THROTTLED = { THROTTLE_ENABLED: 'true', TRUST_PROXY: 'true' };
/** The number of failures at an account without a delay. */
const FREE = 4;

if (!HAS_REDIS) console.warn('Skipped: throttling across nodes, for want of redis-server.');

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer(THROTTLED);
});
beforeEach(async () => {
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const guess = (who: Pick<Person, 'username'>, on = server) =>
  login(on.api, who, { password: 'a wrong guess' });
const RATE_LIMITED = refused(429, 'rate_limited');

async function failTimes(times: number, who: Pick<Person, 'username'> = ada, on = server): Promise<void> {
  for (let time = 0; time < times; time++) {
    expect(await guess(who, on)).toMatchObject(refused(401, 'invalid_credentials'));
  }
}

/** Makes wrong guesses at an account, each as soon as permitted. @returns the delays in between, in seconds. */
async function waitsOf(who: Pick<Person, 'username'>, count: number): Promise<number[]> {
  await failTimes(FREE + 1, who);
  const waits: number[] = [];
  for (;;) {
    const answer = await guess(who);
    expect(answer).toMatchObject(RATE_LIMITED);
    const seconds = Number(answer.headers['retry-after']);
    waits.push(seconds);
    if (waits.length === count) return waits;
    const over = Date.now() + seconds * 1000;
    await until(() => Date.now() >= over);
    expect(await guess(who)).toMatchObject(refused(401, 'invalid_credentials'));
  }
}

describe('guessing the password of one account', () => {
  it('has to wait after some failures, each time twice as long', async () => {
    expect(await waitsOf(ada, 3)).toEqual([1, 2, 4]);
  });

  it('is throttled the same for an account that does not exist', async () => {
    expect(await waitsOf({ username: 'nobody-at-all' }, 2)).toEqual([1, 2]);
  });

  it('does not affect other accounts, and ends when the owner may try again', async () => {
    const bob = await signUp(server.api, 'bob');
    await failTimes(FREE + 1);
    const refusal = await login(server.api, ada);
    expect(refusal).toMatchObject(RATE_LIMITED);
    expect((await login(server.api, bob)).status).toBe(200);
    const over = Date.now() + Number(refusal.headers['retry-after']) * 1000;
    await until(() => Date.now() >= over);
    expect((await login(server.api, ada)).status).toBe(200);
  });

  it('does not end the sessions of the owner', async () => {
    await failTimes(FREE + 1);
    expect((await server.api.get('/api/auth/me', ada.token)).status).toBe(200);
    const renewed = await server.api.post('/api/auth/refresh', { refreshToken: ada.refreshToken });
    expect(renewed.status).toBe(200);
  });

  it('is reset when the owner logs in', async () => {
    await failTimes(FREE);
    expect((await login(server.api, ada)).status).toBe(200);
    await failTimes(FREE);
    expect((await login(server.api, ada)).status).toBe(200);
  });

  it('delays nobody for longer than a minute, however many failures there are', async () => {
    const { throttle } = server.context.services;
    const name = 'popular-target';
    // A thousand failures would take days, so the counter is called with the times directly.
    const failures = Reflect.get(throttle, 'failures') as {
      penalty(key: string, points: number): Promise<unknown>;
    };
    await failures.penalty(`any ${name}`, 1000);
    await failTimes(1, { username: name });
    const answer = await guess({ username: name });
    expect(answer).toMatchObject(RATE_LIMITED);
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60);
    // Refused attempts do not lengthen the delay.
    for (let time = 0; time < 20; time++) {
      expect(Number((await guess({ username: name })).headers['retry-after'])).toBeLessThanOrEqual(60);
    }
  });

  it('is not faster with many concurrent guesses or other spellings of the name', async () => {
    const spellings = ['', '\u200b', '\u00ad', '\u2060', '\u0000'].flatMap((ignored) => [
      `${ada.username}${ignored}`,
      `${ignored}${ada.username.toUpperCase()}`,
    ]);
    const answers = await Promise.all(
      spellings.flatMap((identifier) =>
        [1, 2, 3].map(() => login(server.api, { username: identifier }, { password: PASSWORD + 'x' })),
      ),
    );
    // Only the exact name is an account; other spellings fail even with the right password.
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(0);
    for (const identifier of spellings.slice(2)) {
      expect((await login(server.api, { username: identifier })).status).not.toBe(200);
    }
    const bob = await signUp(server.api, 'bob');
    const guesses = await Promise.all(Array.from({ length: 30 }, () => guess(bob)));
    expect(guesses.filter(({ status }) => status === 401)).toHaveLength(FREE + 1);
  });

  it('queues at most fifty attempts behind the one in progress, and refuses more', async () => {
    const { throttle } = server.context.services;
    let end = () => {};
    const ended = new Promise<void>((resolve) => (end = resolve));
    let accepted = 0;
    const tries = Array.from({ length: 60 }, () =>
      throttle
        .attempt('waited-for', '203.0.113.77', () => ended)
        .then(() => accepted++)
        .catch((error: AppError) => error),
    );
    const refusals = await Promise.all(tries.slice(51));
    expect(accepted).toBe(0);
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'rate_limited', retryAfter: 1 });
    end();
    await Promise.all(tries);
    expect(accepted).toBe(51);
    expect(await throttle.attempt('waited-for', '203.0.113.77', () => Promise.resolve('done'))).toBe('done');
  });

  it('includes the second factor and the password that is requested again', async () => {
    const { person } = await signUpWithTotp(server);
    for (let time = 0; time <= FREE; time++) {
      expect(await login(server.api, person, { code: 'zzzzz-zzzzz' })).toMatchObject(
        refused(401, 'totp_invalid'),
      );
    }
    expect(await login(server.api, person, { code: 'zzzzz-zzzzz' })).toMatchObject(RATE_LIMITED);
    const prove = (password: string) => server.api.post('/api/auth/totp/setup', { password }, ada.token);
    for (let time = 0; time <= FREE; time++) expect((await prove('wrong')).status).toBe(401);
    expect(await prove(PASSWORD)).toMatchObject(RATE_LIMITED);
  });
});

describe('guessing from another network', () => {
  let mailbox: Mailbox;
  let mailing: TestServer;
  let counter = 0;

  beforeAll(async () => {
    mailbox = await openMailbox();
    mailing = await startTestServer({ ...THROTTLED, SMTP_URL: mailbox.url });
  });
  afterAll(async () => {
    await mailing.close();
    await mailbox.close();
  });

  /** A network that nobody has logged in from. */
  const newNetwork = () => `203.0.113.${++counter}`;
  const logInFrom = (address: string, identifier: string, password = PASSWORD, on = server) =>
    on.api.call('post', '/api/auth/login', {
      body: { identifier, password },
      headers: { 'X-Forwarded-For': address },
    });
  /** Guesses until there is a delay. */
  async function attack(identifier: string, on = server): Promise<string> {
    const address = newNetwork();
    let status = 0;
    while (status !== 429) ({ status } = await logInFrom(address, identifier, 'a wrong guess', on));
    return address;
  }

  it('does not lock the owner out of a network that they have used, by name or by address', async () => {
    const home = newNetwork();
    const email = `${ada.username}@example.org`;
    expect((await logInFrom(home, email)).status).toBe(200);
    for (const identifier of [email, ada.username]) {
      const elsewhere = await attack(identifier);
      expect((await logInFrom(home, identifier)).status).toBe(200);
      // The owner's success does not give others another attempt.
      expect(await logInFrom(elsewhere, identifier, 'a wrong guess')).toMatchObject(RATE_LIMITED);
      expect(await logInFrom(newNetwork(), identifier)).toMatchObject(RATE_LIMITED);
    }
  });

  it('does not prevent the owner from confirming their password', async () => {
    await attack(ada.username);
    const { status } = await server.api.post('/api/auth/totp/setup', { password: PASSWORD }, ada.token);
    expect(status).toBe(200);
  });

  it('cannot be directed at a network of the owner by the spelling of the name', async () => {
    const home = newNetwork();
    expect((await logInFrom(home, ada.username)).status).toBe(200);
    await attack(`at ${home} ${ada.username}`);
    expect((await logInFrom(home, ada.username)).status).toBe(200);
  });

  it('does not lock the owner out of a new network once they have reset the password there', async () => {
    const person = await signUp(mailing.api, 'traveller');
    const email = `${person.username}@example.org`;
    const token = await mailbox.takeToken(email, 'verify-email');
    await mailing.api.post('/api/auth/email/verify', { token });
    await attack(person.username, mailing);
    const hotel = newNetwork();
    expect(await logInFrom(hotel, person.username, PASSWORD, mailing)).toMatchObject(RATE_LIMITED);
    await mailing.api.post('/api/auth/password/forgot', { email });
    const newPassword = 'a wholly new passphrase';
    const reset = await mailing.api.call('post', '/api/auth/password/reset', {
      body: { token: await mailbox.takeToken(email, 'reset-password'), newPassword },
      headers: { 'X-Forwarded-For': hotel },
    });
    expect(reset.status).toBe(204);
    expect((await logInFrom(hotel, person.username, newPassword, mailing)).status).toBe(200);
  });
});

describe('flooding from one address', () => {
  const forgot = (address: string) =>
    server.api.call('post', '/api/auth/password/forgot', {
      body: { email: 'nobody@example.org' },
      headers: { 'X-Forwarded-For': address },
    });
  const statusesOf = async (addresses: string[]) =>
    (await Promise.all(addresses.map(forgot))).map(({ status }) => status);

  it('is refused after a while with Retry-After, and others are not', async () => {
    const statuses = await statusesOf(Array<string>(61).fill('203.0.113.9'));
    expect(statuses.filter((status) => status === 202)).toHaveLength(60);
    const answer = await forgot('203.0.113.9');
    expect(answer).toMatchObject(RATE_LIMITED);
    const wait = Number(answer.headers['retry-after']);
    expect(wait > 500 && wait <= 600).toBe(true);
    expect((await forgot('203.0.113.10')).status).toBe(202);
  });

  it('is not hidden by the many addresses of one IPv6 network', async () => {
    const network = Array.from({ length: 61 }, (_, index) => `2001:db8:0:1::${index.toString(16)}`);
    const statuses = await statusesOf(network);
    expect(statuses.filter((status) => status === 429)).toHaveLength(1);
    expect((await forgot('2001:0DB8::1:0:0:0:abcd')).status).toBe(429);
    expect((await forgot('2001:db8:0:2::1')).status).toBe(202);
  });
});

(HAS_REDIS ? describe : describe.skip)('with Redis', () => {
  let redis: RedisProcess;
  let nodes: TestServer[];

  beforeAll(async () => {
    redis = await startRedis();
    const settings = { ...THROTTLED, REDIS_URL: redis.url };
    const first = await startTestServer(settings);
    const stranger = await startTestServer(settings);
    // In the order in which they are closed.
    nodes = [await startTestServer(settings, { beside: first }), first, stranger];
  });
  afterAll(async () => {
    for (const node of nodes) await node.close();
    await redis.close();
  });

  it('installations that use the same Redis server count separately', async () => {
    const [, first, stranger] = nodes as [TestServer, TestServer, TestServer];
    const name = { username: 'same-name' };
    await failTimes(FREE + 1, name, first);
    expect(await guess(name, first)).toMatchObject(RATE_LIMITED);
    expect(await guess(name, stranger)).toMatchObject(refused(401, 'invalid_credentials'));
  });

  it('nodes share their counts through Redis, and count for themselves without it', async () => {
    const [one, other] = nodes as [TestServer, TestServer];
    const name = { username: 'shared-target' };
    await failTimes(FREE + 1, name, one);
    expect(await guess(name, other)).toMatchObject(RATE_LIMITED);
    await redis.close();
    const next = { username: 'next-target' };
    await failTimes(FREE + 1, next, one);
    expect(await guess(next, one)).toMatchObject(RATE_LIMITED);
    expect(await guess(next, other)).toMatchObject(refused(401, 'invalid_credentials'));
  });
});

describe('a route that declares a limit', () => {
  let own: TestServer;
  beforeAll(async () => {
    own = await startTestServer(THROTTLED);
  });
  afterAll(() => own.close());

  it('refuses an address that has used it up, with Retry-After, and is documented as limited', async () => {
    const eva = await signUp(own.api, 'eva');
    const { throttle } = own.context.services;
    for (const limit of Object.values(THROTTLES)) {
      for (let isOpen = true; isOpen;) {
        isOpen = await throttle.countCall(limit, '127.0.0.1').then(
          () => true,
          () => false,
        );
      }
    }
    const { body: document } = await own.api.get('/openapi.json');
    const limited = operationsOf(document).filter(
      ({ method, path }) => document.paths[path][method].responses['429'],
    );
    expect(limited.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(BODIES).sort());
    const groupId = '0'.repeat(24);
    for (const { operationId, method, path, authenticated } of limited) {
      const { headers } = document.paths[path][method].responses['429'];
      expect([operationId, headers]).toEqual([operationId, { 'Retry-After': expect.any(Object) }]);
      const answer = await own.api.call(method, fillPath(path, { groupId }), {
        body: BODIES[operationId],
        token: authenticated ? eva.token : undefined,
      });
      expect([operationId, answer]).toMatchObject([operationId, RATE_LIMITED]);
      expect(answer.headers['retry-after']).toBe(String(answer.body.error.retryAfter));
    }
  });

  const email = 'eva@example.org';
  const password = 'correct horse battery';
  const token = 'x'.repeat(43);
  /** A valid body of each limited operation; undefined where it accepts a file. */
  const BODIES: Record<string, object | undefined> = {
    register: { username: 'newcomer', email, password },
    login: { identifier: 'eva', password },
    refresh: { refreshToken: token },
    forgotPassword: { email },
    resetPassword: { token, newPassword: password },
    changeEmail: { email, password },
    stopEmailChange: { token },
    verifyEmail: { token },
    uploadFile: undefined,
    setMyAvatar: undefined,
    setGroupAvatar: undefined,
  };
});

describe('calling', () => {
  const call = async (body: object) => {
    const answer = await server.api.post('/api/video-calls', body, ada.token);
    if (answer.status === 201) {
      const left = await server.api.post(
        `/api/video-calls/${answer.body.call.id}/leave`,
        undefined,
        ada.token,
      );
      expect(left.body.call.state).toBe('ended');
    }
    return answer;
  };

  it('the same user again and again is refused, and so is starting calls again and again', async () => {
    const bruno = await signUp(server.api, 'bruno');
    for (let time = 0; time < 10; time++) expect((await call({ userId: bruno.id })).status).toBe(201);
    const again = await call({ userId: bruno.id });
    expect(again).toMatchObject(RATE_LIMITED);
    expect(Number(again.headers['retry-after'])).toBeGreaterThan(60);
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    for (let time = 0; time < 18; time++) expect((await call({ channelId })).status).toBe(201);
    const last = await server.api.post('/api/video-calls', { channelId }, ada.token);
    expect(last.status).toBe(201);
    // Neither joining nor answering is limited, but calling is, within a call, too.
    const path = `/api/video-calls/${last.body.call.id}`;
    const invited = await server.api.post(`${path}/invite`, { userIds: [bruno.id] }, ada.token);
    expect(invited).toMatchObject(RATE_LIMITED);
    expect((await server.api.post(`${path}/join`, {}, ada.token)).status).toBe(200);
    expect((await call({ channelId })).status).toBe(200);
    expect((await server.api.post(`${path}/join`, {}, bruno.token)).status).toBe(200);
    const reports = [{ userId: bruno.id, jitterMs: 1 }];
    expect((await server.api.post(`${path}/quality`, { reports }, ada.token)).status).toBe(204);
    expect(await server.api.post(`${path}/quality`, { reports }, ada.token)).toMatchObject(RATE_LIMITED);
    for (const { token } of [ada, bruno]) await server.api.post(`${path}/leave`, undefined, token);
    expect(await call({ channelId })).toMatchObject(RATE_LIMITED);
  });
});
