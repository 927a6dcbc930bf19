import { auditOf, logInAgain, login, me, refused } from '../../fixtures/accounts';
import { openMailbox, type Mailbox } from '../../fixtures/mail';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { codeOf } from '../../fixtures/totp';

let mailbox: Mailbox;
let server: TestServer;
let founder: Person;
let counter = 0;

beforeAll(async () => {
  mailbox = await openMailbox();
  server = await startTestServer({ SMTP_URL: mailbox.url });
  founder = await signUp(server.api, 'founder');
  await mailbox.take(`${founder.username}@example.org`);
});
afterAll(async () => {
  await server.close();
  await mailbox.close();
});

const freshName = () => `somebody${++counter}`;
const register = (username: string, email: string) =>
  server.api.post('/api/auth/register', { username, email, password: PASSWORD });
const verify = (token: string) => server.api.post('/api/auth/email/verify', { token });
const verifyMail = async (address: string) => verify(await mailbox.takeToken(address, 'verify-email'));
const changeTo = (email: string, { token }: Pick<Person, 'token'>, password = PASSWORD) =>
  server.api.post('/api/auth/email', { email, password }, token);
const logInBy = (identifier: string) => login(server.api, { username: identifier });
const myEmail = async (person: Pick<Person, 'token'>) => {
  const { user } = (await me(server.api, person)).body;
  return [user.email, user.emailVerified];
};

/** A user whose address is confirmed. */
async function confirmed(): Promise<Person & { email: string }> {
  const person = await signUp(server.api, 'confirmed');
  const email = `${person.username}@example.org`;
  expect((await verifyMail(email)).status).toBe(204);
  return { ...person, email };
}

describe('the address given at registration', () => {
  it('is confirmed by following the link', async () => {
    const person = await signUp(server.api, 'newcomer');
    const email = `${person.username}@example.org`;
    expect(await myEmail(person)).toEqual([email, false]);
    expect(await logInBy(email)).toMatchObject(refused(401, 'invalid_credentials'));
    const token = await mailbox.takeToken(email, 'verify-email');
    expect((await verify(token)).status).toBe(204);
    expect(await myEmail(person)).toEqual([email, true]);
    expect((await logInBy(email)).status).toBe(200);
    expect(await verify(token)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect(await auditOf(server, person, 'user.email_changed')).toHaveLength(1);
  });

  it('gets a new link on request, which replaces the previous one', async () => {
    const person = await signUp(server.api, 'newcomer');
    const email = `${person.username}@example.org`;
    const first = await mailbox.takeToken(email, 'verify-email');
    expect((await server.api.post('/api/auth/email/resend', undefined, person.token)).status).toBe(202);
    // The link is created after the answer: once its mail has arrived, the previous link is void.
    const second = await mailbox.takeToken(email, 'verify-email');
    expect(await verify(first)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect((await verify(second)).status).toBe(204);
    // Now there is nothing to confirm.
    expect((await server.api.post('/api/auth/email/resend', undefined, person.token)).status).toBe(202);
    const next = await signUp(server.api, 'next');
    await mailbox.take(`${next.username}@example.org`);
    expect(mailbox.received).toEqual([]);
  });

  it('does not reveal whether it has an account: the answer is the same, and its owner gets a mail', async () => {
    const owner = await confirmed();
    const [free, taken] = [freshName(), freshName()];
    const answers = [
      await register(free, `${free}@example.org`),
      await register(taken, owner.email.toUpperCase()),
    ];
    const shape = ({ status, body }: (typeof answers)[0]) => [status, Object.keys(body.user).sort()];
    expect(shape(answers[1]!)).toEqual(shape(answers[0]!));
    expect(answers[1]!.body.user).toMatchObject({ emailVerified: false, username: taken });
    const mail = await mailbox.take(owner.email);
    expect(mail.subject).toBe('You already have an account');
    expect(mail.text).toContain(`"${owner.username}"`);
    expect(mail.text).not.toContain('token=');
    expect((await logInBy(owner.email)).body.user.id).toBe(owner.id);
    await mailbox.take(`${free}@example.org`);
  });

  it('belongs to the first account that confirms it', async () => {
    const address = `${freshName()}@example.org`;
    const [first, second] = [await register(freshName(), address), await register(freshName(), address)];
    expect([first.status, second.status]).toEqual([201, 201]);
    const tokens = [await mailbox.take(address), await mailbox.take(address)].map(({ text }) => ({
      token: /token=([\w-]+)/.exec(text)![1]!,
      isOfSecond: text.includes(`"${second.body.user.username}"`),
    }));
    const ofSecond = tokens.find(({ isOfSecond }) => isOfSecond)!;
    const ofFirst = tokens.find(({ isOfSecond }) => !isOfSecond)!;
    expect((await verify(ofSecond.token)).status).toBe(204);
    expect(await verify(ofFirst.token)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect((await logInBy(address)).body.user.id).toBe(second.body.user.id);
    expect(await myEmail({ token: first.body.accessToken })).toEqual([address, false]);
  });
});

describe('a new address', () => {
  it('replaces the old one once its link is followed', async () => {
    const person = await confirmed();
    const next = `${freshName()}@example.org`;
    expect((await changeTo(next, person)).status).toBe(202);
    expect(await myEmail(person)).toEqual([person.email, true]);
    expect((await logInBy(person.email)).status).toBe(200);
    expect((await verifyMail(next)).status).toBe(204);
    expect(await myEmail(person)).toEqual([next, true]);
    expect((await logInBy(next)).body.user.id).toBe(person.id);
    expect(await logInBy(person.email)).toMatchObject(refused(401, 'invalid_credentials'));
  });

  it('is announced to the old one: what, when, from where, and what to do', async () => {
    const person = await confirmed();
    const next = `${freshName()}@example.org`;
    const notice = expect.objectContaining({ to: person.email });
    await changeTo(next, person);
    expect((await mailbox.take(person.email)).subject).toBe('Your e-mail address is about to change');
    const token = await mailbox.takeToken(next, 'verify-email');
    expect(mailbox.received).not.toContainEqual(notice);
    const earliest = Math.floor(Date.now() / 1000) * 1000;
    expect((await verify(token)).status).toBe(204);
    const { subject, text } = await mailbox.take(person.email);
    expect(subject).toBe('Your e-mail address was changed');
    expect(text).toContain(`"${person.username}"`);
    expect(text).toContain('from 127.0.0.1');
    expect(text).toMatch(/change the password/);
    const at = Date.parse(/on (.+ GMT)/.exec(text.replace(/\s+/g, ' '))![1]!);
    expect(at >= earliest && at <= Date.now()).toBe(true);
    // The old address may belong to another user meanwhile.
    expect(text).not.toContain(next);
    // Following the link again changes nothing and sends no mail.
    expect((await verify(token)).status).toBe(400);
    expect(mailbox.received).not.toContainEqual(notice);
  });

  it('that differs only in capital letters is announced to nobody', async () => {
    const person = await confirmed();
    const same = person.email.replace(person.username, person.username.toUpperCase());
    await changeTo(same, person);
    expect((await verifyMail(same)).status).toBe(204);
    expect(await myEmail(person)).toEqual([same, true]);
    // A mail that was requested later has arrived, so an earlier one would have arrived too.
    await confirmed();
    expect(mailbox.received.filter(({ to }) => [person.email, same].includes(to))).toEqual([]);
  });

  it('requires the password before a link is mailed', async () => {
    const person = await confirmed();
    const answer = await changeTo(`${freshName()}@example.org`, person, 'not the password');
    expect(answer).toMatchObject(refused(401, 'password_wrong'));
  });

  it('that is taken is answered like a free one, and its owner gets a mail', async () => {
    const [person, owner] = [await confirmed(), await confirmed()];
    expect((await changeTo(owner.email, person)).status).toBe(202);
    expect((await mailbox.take(owner.email)).subject).toBe('You already have an account');
    expect(await myEmail(person)).toEqual([person.email, true]);
  });

  it('replaces the link that was mailed to the previous one', async () => {
    const person = await confirmed();
    const [wrong, right] = [`${freshName()}@example.org`, `${freshName()}@example.org`];
    await changeTo(wrong, person);
    const stale = await mailbox.takeToken(wrong, 'verify-email');
    await changeTo(right, person);
    expect(await verify(stale)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect((await verifyMail(right)).status).toBe(204);
  });
});

describe('a change of address that an intruder has requested', () => {
  const NEW = 'a wholly new passphrase';
  const evil = () => `${freshName()}@evil.example`;
  const stop = (token: string) => server.api.post('/api/auth/email/stop', { token });
  const stopLink = (address: string) => mailbox.takeToken(address, 'stop-email-change');
  const pending = async (person: Pick<Person, 'token'>) =>
    (await me(server.api, person)).body.user.pendingEmail as string | null;
  const invalid = refused(400, 'one_time_token_invalid');
  const post = (path: string, body: object | undefined, { token }: Pick<Person, 'token'>) =>
    server.api.post(path, body, token);
  const reset = (token: string, newPassword = NEW) =>
    server.api.post('/api/auth/password/reset', { token, newPassword });

  let admin: Person;
  beforeAll(async () => {
    admin = await logInAgain(server.api, founder);
  });

  it('is shown in the account, and mailed to the old address: what, when, from where, and how to stop it', async () => {
    const person = await confirmed();
    expect(await pending(person)).toBeNull();
    const next = evil();
    const earliest = Math.floor(Date.now() / 1000) * 1000;
    expect((await changeTo(next, person)).status).toBe(202);
    expect(await pending(person)).toBe(next);
    const { subject, text } = await mailbox.take(person.email);
    expect(subject).toBe('Your e-mail address is about to change');
    expect(text).toContain(`"${person.username}"`);
    expect(text).toContain('from 127.0.0.1');
    expect(text).toContain('/#/stop-email-change?token=');
    expect(text).not.toContain(next);
    const at = Date.parse(/on (.+ GMT)/.exec(text.replace(/\s+/g, ' '))![1]!);
    expect(at >= earliest && at <= Date.now()).toBe(true);
    expect(await auditOf(server, person, 'user.email_change_requested')).toHaveLength(1);
  });

  it('can be withdrawn by the owner', async () => {
    const person = await confirmed();
    const next = evil();
    await changeTo(next, person);
    const token = await mailbox.takeToken(next, 'verify-email');
    for (let time = 0; time < 2; time++) {
      expect((await server.api.delete('/api/auth/email/pending', person.token)).status).toBe(204);
      expect(await pending(person)).toBeNull();
    }
    expect(await verify(token)).toMatchObject(invalid);
    expect(await myEmail(person)).toEqual([person.email, true]);
  });

  it('is stopped by the link to the old address, which ends every session and leads to a new password', async () => {
    const person = await confirmed();
    const next = evil();
    await changeTo(next, person);
    const [verifying, stopping] = [
      await mailbox.takeToken(next, 'verify-email'),
      await stopLink(person.email),
    ];
    expect((await stop(stopping)).status).toBe(204);
    expect(await verify(verifying)).toMatchObject(invalid);
    expect(await stop(stopping)).toMatchObject(invalid);
    expect(await me(server.api, person)).toMatchObject(refused(401, 'session_revoked'));
    expect((await reset(await mailbox.takeToken(person.email, 'reset-password'))).status).toBe(204);
    const back = await login(server.api, { username: person.email }, { password: NEW });
    expect(back.body.user).toMatchObject({ id: person.id, email: person.email, pendingEmail: null });
    expect(await auditOf(server, person, 'user.email_change_stopped')).toHaveLength(1);
  });

  it('is reverted by that link after it is complete, even after further changes of address and password', async () => {
    const person = await confirmed();
    const [first, second] = [evil(), evil()];
    await changeTo(first, person);
    expect((await verifyMail(first)).status).toBe(204);
    await changeTo(second, person);
    expect((await verifyMail(second)).status).toBe(204);
    const changed = await post('/api/auth/password', { password: PASSWORD, newPassword: NEW }, person);
    expect(changed.status).toBe(200);

    expect((await stop(await stopLink(person.email))).status).toBe(204);
    expect((await me(server.api, { token: changed.body.accessToken })).status).toBe(401);
    expect((await mailbox.take(person.email)).subject).toBe('Your e-mail address was changed');
    expect((await reset(await mailbox.takeToken(person.email, 'reset-password'), `${NEW} 2`)).status).toBe(
      204,
    );
    const back = await login(server.api, { username: person.email }, { password: `${NEW} 2` });
    expect(back.body.user).toMatchObject({ id: person.id, email: person.email, emailVerified: true });
    for (const username of [first, second]) {
      expect(await login(server.api, { username })).toMatchObject(refused(401, 'invalid_credentials'));
    }
  });

  it('is not reverted when another account has the old address meanwhile', async () => {
    const [person, successor] = [await confirmed(), await confirmed()];
    const next = evil();
    await changeTo(next, person);
    const stopping = await stopLink(person.email);
    expect((await verifyMail(next)).status).toBe(204);
    await changeTo(person.email, successor);
    expect((await mailbox.take(person.email)).subject).toBe('Your e-mail address was changed');
    expect((await verifyMail(person.email)).status).toBe(204);
    expect(await stop(stopping)).toMatchObject(invalid);
    expect(await myEmail(person)).toEqual([next, true]);
    expect(await myEmail(successor)).toEqual([person.email, true]);
  });

  const causes: [string, (person: Person & { email: string }) => Promise<{ status: number }>][] = [
    [
      'the owner changes the password',
      (person) => post('/api/auth/password', { password: PASSWORD, newPassword: NEW }, person),
    ],
    [
      'the owner resets the password',
      async ({ email }) => {
        await server.api.post('/api/auth/password/forgot', { email });
        return reset(await mailbox.takeToken(email, 'reset-password'));
      },
    ],
    ['the owner logs out everywhere', (person) => post('/api/auth/logout-everywhere', undefined, person)],
    [
      'an administrator logs the owner out',
      ({ id }) => post(`/api/admin/users/${id}/logout`, undefined, admin),
    ],
    [
      'an administrator sends a link to reset the password',
      ({ id }) => post(`/api/admin/users/${id}/reset-password`, undefined, admin),
    ],
    [
      'the owner is suspended',
      async ({ id }) => {
        await post(`/api/admin/users/${id}/suspend`, { reason: 'x' }, admin);
        return post(`/api/admin/users/${id}/restore`, undefined, admin);
      },
    ],
    [
      'the owner is banned',
      async ({ id }) => {
        await post(`/api/admin/users/${id}/ban`, { reason: 'x' }, admin);
        return post(`/api/admin/users/${id}/restore`, undefined, admin);
      },
    ],
    [
      'the account is deactivated',
      (person) => post('/api/users/me/deactivate', { password: PASSWORD }, person),
    ],
  ];

  it.each(causes)(
    'ends when %s, with every link and with a second factor that is not enabled yet',
    async (_, end) => {
      const person = await confirmed();
      const next = evil();
      await changeTo(next, person);
      const verifying = await mailbox.takeToken(next, 'verify-email');
      await mailbox.take(person.email);
      const setup = await post('/api/auth/totp/setup', { password: PASSWORD }, person);
      expect(setup.status).toBe(200);
      await server.api.post('/api/auth/password/forgot', { email: person.email });
      const resetting = await mailbox.takeToken(person.email, 'reset-password');

      expect(Math.floor((await end(person)).status / 100)).toBe(2);
      expect(await verify(verifying)).toMatchObject(invalid);
      expect(await reset(resetting, 'the passphrase of a thief')).toMatchObject(invalid);
      const answers = [
        await login(server.api, person),
        await login(server.api, person, { password: NEW }),
      ].filter(({ status }) => status === 200);
      expect(answers).toHaveLength(1);
      const { accessToken, user } = answers[0]!.body;
      expect(user).toMatchObject({ email: person.email, emailVerified: true, pendingEmail: null });
      const code = await codeOf(setup.body.secret);
      const enabling = await server.api.post('/api/auth/totp/enable', { code }, accessToken);
      expect(enabling).toMatchObject(refused(409, 'totp_not_enabled'));
    },
  );

  it('is refused when the password has changed since the request', async () => {
    const person = await confirmed();
    const { collections } = server.context.database;
    // The state of the account when the intruder confirmed the password.
    const confirmedBefore = (await collections.users.findOne({ username: person.username }))!;
    const { body } = await post('/api/auth/password', { password: PASSWORD, newPassword: NEW }, person);
    const origin = { address: '127.0.0.1', userAgent: '' };
    await expect(
      server.context.services.emails.startChange(confirmedBefore, evil(), origin),
    ).rejects.toMatchObject({
      code: 'password_wrong',
    });
    expect(await pending({ token: body.accessToken })).toBeNull();
    expect(await auditOf(server, person, 'user.email_change_requested')).toEqual([]);
  });

  it('does not survive a simultaneous change of the password', async () => {
    for (let round = 0; round < 5; round++) {
      const person = await confirmed();
      const [changed, asked] = await Promise.all([
        post('/api/auth/password', { password: PASSWORD, newPassword: NEW }, person),
        changeTo(evil(), person),
      ]);
      expect(changed.status).toBe(200);
      expect([202, 401]).toContain(asked.status);
      expect(await pending({ token: changed.body.accessToken })).toBeNull();
    }
  });

  it("restores the address of a new account's registration, which then needs a new link", async () => {
    const person = await signUp(server.api, 'newcomer');
    const email = `${person.username}@example.org`;
    await mailbox.take(email);
    const next = evil();
    await changeTo(next, person);
    expect(await pending(person)).toBe(next);
    const token = await mailbox.takeToken(next, 'verify-email');
    const { body } = await post('/api/auth/password', { password: PASSWORD, newPassword: NEW }, person);
    expect(body.user).toMatchObject({ email, emailVerified: false, pendingEmail: email });
    expect(await verify(token)).toMatchObject(invalid);
    await post('/api/auth/email/resend', undefined, { token: body.accessToken });
    expect((await verifyMail(email)).status).toBe(204);
    expect(await pending({ token: body.accessToken })).toBeNull();
  });
});

describe('without a mail server', () => {
  it('production reports that mail is not available, and accepts addresses as given', async () => {
    const bare = await startTestServer({
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      BCRYPT_COST: '10',
      JWT_SECRET: 'a secret of more than 32 characters, for tests',
      ENCRYPTION_KEY: 'another secret of more than 32 characters, for tests',
    });
    const ada = await signUp(bare.api, 'ada');
    const email = `${ada.username}@example.org`;
    const unavailable = refused(503, 'mail_unavailable');
    expect(await bare.api.post('/api/auth/password/forgot', { email })).toMatchObject(unavailable);
    expect(
      await bare.api.post('/api/auth/email', { email: 'b@example.org', password: PASSWORD }, ada.token),
    ).toMatchObject(unavailable);
    expect(await bare.api.post('/api/auth/email/resend', undefined, ada.token)).toMatchObject(unavailable);
    expect((await login(bare.api, { username: email })).status).toBe(200);
    await bare.close();
  });

  it('with a mail server that is down, requests do not wait and do not reveal it', async () => {
    const dead = await startTestServer({ SMTP_URL: 'smtp://127.0.0.1:1' });
    const ada = await signUp(dead.api, 'ada');
    expect((await dead.api.post('/api/auth/email/resend', undefined, ada.token)).status).toBe(202);
    await dead.close();
  });
});
