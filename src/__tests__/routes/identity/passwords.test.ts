import { ObjectId } from 'mongodb';
import { PasswordHasher } from '../../../services/identity/password';
import { AppError } from '../../../utils/errors';
import { auditOf, isLoggedIn, logInAgain, login, me, refused } from '../../fixtures/accounts';
import { openMailbox, type Mailbox } from '../../fixtures/mail';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

const NEW = 'a wholly new passphrase';

let mailbox: Mailbox;
let server: TestServer;
let ada: Person;
let email: string;

beforeAll(async () => {
  mailbox = await openMailbox();
  server = await startTestServer({ SMTP_URL: mailbox.url, PUBLIC_URL: 'https://chat.example.org' });
});
beforeEach(async () => {
  ada = await signUp(server.api, 'ada');
  email = `${ada.username}@example.org`;
  const token = await mailbox.takeToken(email, 'verify-email');
  expect((await server.api.post('/api/auth/email/verify', { token })).status).toBe(204);
});
afterAll(async () => {
  await server.close();
  await mailbox.close();
});

const change = (body: object, { token } = ada) => server.api.post('/api/auth/password', body, token);
const forgot = (address: string) => server.api.post('/api/auth/password/forgot', { email: address });
const reset = (token: string, newPassword = NEW) =>
  server.api.post('/api/auth/password/reset', { token, newPassword });

describe('changing the password', () => {
  it('ends every session including this one; the answer opens a new one', async () => {
    const phone = await logInAgain(server.api, ada);
    const { status, body } = await change({ password: PASSWORD, newPassword: NEW });
    expect([status, body.user.id]).toEqual([200, ada.id]);
    expect(await isLoggedIn(server.api, ada)).toEqual([false, false]);
    expect(await isLoggedIn(server.api, phone)).toEqual([false, false]);
    const fresh = { ...ada, token: body.accessToken, refreshToken: body.refreshToken };
    expect(await isLoggedIn(server.api, fresh)).toEqual([true, true]);
    expect(await login(server.api, ada)).toMatchObject(refused(401, 'invalid_credentials'));
    expect((await login(server.api, ada, { password: NEW })).status).toBe(200);
    expect(await auditOf(server, ada, 'user.password_changed')).toHaveLength(1);
  });

  it('requires the old password and an acceptable new one', async () => {
    const wrong = { password: 'not the password', newPassword: NEW };
    expect(await change(wrong)).toMatchObject(refused(401, 'password_wrong'));
    const common = { password: PASSWORD, newPassword: 'password123' };
    expect(await change(common)).toMatchObject(refused(400, 'password_too_common'));
    const same = { password: PASSWORD, newPassword: ada.username.padEnd(10, 'a') };
    expect((await change({ ...same, newPassword: 'short' })).status).toBe(400);
    expect((await login(server.api, ada)).status).toBe(200);
    expect((await me(server.api, ada)).status).toBe(200);
  });

  it('leaves no session of the old password, even with concurrent log-ins', async () => {
    for (let round = 0; round < 3; round++) {
      const person = await signUp(server.api, 'racer');
      const [changed, ...logins] = await Promise.all([
        change({ password: PASSWORD, newPassword: NEW }, person),
        ...Array.from({ length: 4 }, () => login(server.api, person)),
      ]);
      expect(changed.status).toBe(200);
      for (const { status, body } of logins) {
        if (status === 200) expect((await me(server.api, { token: body.accessToken })).status).toBe(401);
      }
      expect((await me(server.api, { token: changed.body.accessToken })).status).toBe(200);
    }
  });

  it('twice at once results in one password and only its sessions', async () => {
    const answers = await Promise.all(
      ['first new passphrase', 'other new passphrase'].map(async (newPassword) => ({
        newPassword,
        answer: await change({ password: PASSWORD, newPassword }),
      })),
    );
    for (const { newPassword, answer } of answers) {
      const counts = (await login(server.api, ada, { password: newPassword })).status === 200;
      if (answer.status !== 200 || counts) continue;
      expect((await me(server.api, { token: answer.body.accessToken })).status).toBe(401);
    }
  });
});

describe('a forgotten password', () => {
  it('is replaced by following the link, once; every session ends', async () => {
    expect((await forgot(email.toUpperCase())).status).toBe(202);
    const mail = await mailbox.take(email);
    expect(mail.text).toContain(`"${ada.username}"`);
    const [, token] = /https:\/\/chat\.example\.org\/#\/reset-password\?token=([\w-]{43})/.exec(mail.text)!;
    expect((await reset(token!)).status).toBe(204);
    expect(await isLoggedIn(server.api, ada)).toEqual([false, false]);
    expect(await login(server.api, ada)).toMatchObject(refused(401, 'invalid_credentials'));
    expect((await login(server.api, ada, { password: NEW })).status).toBe(200);
    expect(await reset(token!)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect(await auditOf(server, ada, 'user.password_reset')).toHaveLength(1);
  });

  it('can be replaced once, however often the link is followed at once', async () => {
    await forgot(email);
    const token = await mailbox.takeToken(email, 'reset-password');
    const answers = await Promise.all(Array.from({ length: 5 }, () => reset(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 400, 400, 400, 400]);
  });

  it('keeps the link valid when the server is too busy to hash the password', async () => {
    await forgot(email);
    const token = await mailbox.takeToken(email, 'reset-password');
    const busy = new AppError('unavailable', 'The server is busy.', undefined, 3);
    const hash = jest.spyOn(PasswordHasher.prototype, 'hash').mockRejectedValueOnce(busy);
    expect(await reset('unknown-token'.padEnd(43, 'x'))).toMatchObject(
      refused(400, 'one_time_token_invalid'),
    );
    // For a token without an account no hash is computed.
    expect(hash).not.toHaveBeenCalled();
    const answer = await reset(token);
    expect(answer).toMatchObject(refused(503, 'unavailable'));
    expect(answer.headers['retry-after']).toBe('3');
    hash.mockRestore();
    expect((await reset(token)).status).toBe(204);
  });

  it('has the same answer for an unknown address, to which nothing is sent', async () => {
    const unknown = await forgot('nobody@example.org');
    const known = await forgot(email);
    expect([unknown.status, unknown.body]).toEqual([known.status, known.body]);
    await mailbox.take(email);
    expect(mailbox.received.filter(({ to }) => to === 'nobody@example.org')).toEqual([]);
  });

  it('is not replaced by a link that has expired, is of another kind, or was superseded', async () => {
    await forgot(email);
    const old = await mailbox.takeToken(email, 'reset-password');
    const userId = new ObjectId(ada.id);
    const { oneTimeTokens } = server.context.database.collections;
    await oneTimeTokens.updateOne({ userId }, { $set: { expiresAt: new Date(Date.now() - 1) } });
    expect(await reset(old)).toMatchObject(refused(400, 'one_time_token_invalid'));

    await forgot(email);
    const first = await mailbox.takeToken(email, 'reset-password');
    await forgot(email);
    const second = await mailbox.takeToken(email, 'reset-password');
    expect(await reset(first)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect(await server.api.post('/api/auth/email/verify', { token: second })).toMatchObject(
      refused(400, 'one_time_token_invalid'),
    );
    expect((await login(server.api, ada)).status).toBe(200);
    // A refused password does not use up the link.
    expect(await reset(second, '1234567890')).toMatchObject(refused(400, 'password_too_common'));
    expect((await reset(second)).status).toBe(204);
  });

  it('is not replaced by a link from before a change of the password', async () => {
    await forgot(email);
    const token = await mailbox.takeToken(email, 'reset-password');
    await change({ password: PASSWORD, newPassword: NEW });
    expect(await reset(token, 'the thief’s passphrase')).toMatchObject(
      refused(400, 'one_time_token_invalid'),
    );
  });

  it('stores no token in plain text', async () => {
    await forgot(email);
    const token = await mailbox.takeToken(email, 'reset-password');
    const stored = await server.context.database.collections.oneTimeTokens.find().toArray();
    expect(stored.length).toBeGreaterThan(0);
    expect(JSON.stringify(stored)).not.toContain(token);
  });
});
