import { auditOf, login, me, refused } from '../fixtures/accounts';
import { openMailbox, type Mailbox } from '../fixtures/mail';
import { PASSWORD, signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';

let mailbox: Mailbox;
let server: TestServer;
let counter = 0;

beforeAll(async () => {
  mailbox = await openMailbox();
  server = await startTestServer({ SMTP_URL: mailbox.url });
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

/** Somebody whose address is confirmed. */
async function confirmed(): Promise<Person & { email: string }> {
  const person = await signUp(server.api, 'confirmed');
  const email = `${person.username}@example.org`;
  expect((await verifyMail(email)).status).toBe(204);
  return { ...person, email };
}

describe('the address given at registering', () => {
  it('counts once its owner has followed the link', async () => {
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

  it('gets the link again when asked, and the one before is void', async () => {
    const person = await signUp(server.api, 'newcomer');
    const email = `${person.username}@example.org`;
    const first = await mailbox.takeToken(email, 'verify-email');
    expect((await server.api.post('/api/auth/email/resend', undefined, person.token)).status).toBe(202);
    // The link is made behind the answer: once its mail is there, the one before is void.
    const second = await mailbox.takeToken(email, 'verify-email');
    expect(await verify(first)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect((await verify(second)).status).toBe(204);
    // Now there is nothing to confirm.
    expect((await server.api.post('/api/auth/email/resend', undefined, person.token)).status).toBe(202);
    const next = await signUp(server.api, 'next');
    await mailbox.take(`${next.username}@example.org`);
    expect(mailbox.received).toEqual([]);
  });

  it('does not tell whether it has an account: the answer is the same, and its owner gets a mail', async () => {
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
    expect(mail.subject).toBe('You have an account already');
    expect(mail.text).toContain(`"${owner.username}"`);
    expect(mail.text).not.toContain('token=');
    expect((await logInBy(owner.email)).body.user.id).toBe(owner.id);
    await mailbox.take(`${free}@example.org`);
  });

  it('belongs to the first who confirms it, of several who wait for it', async () => {
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

describe('another address', () => {
  it('takes the place of the old one once its link is followed', async () => {
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

  it('is told to the old one: what, when and from where, and what to do', async () => {
    const person = await confirmed();
    const next = `${freshName()}@example.org`;
    const notice = expect.objectContaining({ to: person.email });
    await changeTo(next, person);
    const token = await mailbox.takeToken(next, 'verify-email');
    expect(mailbox.received).not.toContainEqual(notice);
    const earliest = Math.floor(Date.now() / 1000) * 1000;
    expect((await verify(token)).status).toBe(204);
    const { subject, text } = await mailbox.take(person.email);
    expect(subject).toBe('Your e-mail address was changed');
    expect(text).toContain(`"${person.username}"`);
    expect(text).toContain('from 127.0.0.1');
    expect(text).toMatch(/change the password/);
    const at = Date.parse(/since (.+ GMT)/.exec(text.replace(/\s+/g, ' '))![1]!);
    expect(at >= earliest && at <= Date.now()).toBe(true);
    // The old address may be another person's by now.
    expect(text).not.toContain(next);
    // Following the link again changes nothing, and so tells nobody.
    expect((await verify(token)).status).toBe(400);
    expect(mailbox.received).not.toContainEqual(notice);
  });

  it('that differs in nothing but capitals is told to nobody', async () => {
    const person = await confirmed();
    const same = person.email.replace(person.username, person.username.toUpperCase());
    await changeTo(same, person);
    expect((await verifyMail(same)).status).toBe(204);
    expect(await myEmail(person)).toEqual([same, true]);
    // Mail that is asked for later has come, so the other would have.
    await confirmed();
    expect(mailbox.received.filter(({ to }) => [person.email, same].includes(to))).toEqual([]);
  });

  it('is not mailed without the password', async () => {
    const person = await confirmed();
    const answer = await changeTo(`${freshName()}@example.org`, person, 'not the password');
    expect(answer).toMatchObject(refused(401, 'password_wrong'));
  });

  it('that is taken is answered like a free one, and its owner gets a mail', async () => {
    const [person, owner] = [await confirmed(), await confirmed()];
    expect((await changeTo(owner.email, person)).status).toBe(202);
    expect((await mailbox.take(owner.email)).subject).toBe('You have an account already');
    expect(await myEmail(person)).toEqual([person.email, true]);
  });

  it('makes a link void that was mailed to the one before', async () => {
    const person = await confirmed();
    const [wrong, right] = [`${freshName()}@example.org`, `${freshName()}@example.org`];
    await changeTo(wrong, person);
    const stale = await mailbox.takeToken(wrong, 'verify-email');
    await changeTo(right, person);
    expect(await verify(stale)).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect((await verifyMail(right)).status).toBe(204);
  });
});

describe('without a mail server', () => {
  it('production says that mail is not to be had, and takes addresses as given', async () => {
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

  it('that answers, nobody waits and nothing is told', async () => {
    const dead = await startTestServer({ SMTP_URL: 'smtp://127.0.0.1:1' });
    const ada = await signUp(dead.api, 'ada');
    expect((await dead.api.post('/api/auth/email/resend', undefined, ada.token)).status).toBe(202);
    await dead.close();
  });
});
