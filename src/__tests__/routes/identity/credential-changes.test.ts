import { ObjectId } from 'mongodb';
import type { AuditAction } from '../../../models/audit/audit.model';
import { auditOf, login, refused } from '../../fixtures/accounts';
import type { Answer } from '../../fixtures/api';
import { openMailbox, type Mailbox } from '../../fixtures/mail';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { codeOf, signUpWithTotp } from '../../fixtures/totp';

let mailbox: Mailbox;
let server: TestServer;

beforeAll(async () => {
  mailbox = await openMailbox();
  server = await startTestServer({ SMTP_URL: mailbox.url });
});
afterAll(async () => {
  await server.close();
  await mailbox.close();
});

const newPassword = 'a wholly new passphrase';
const post = (path: string, body: object, { token }: Partial<Person> = {}) =>
  server.api.post(`/api/auth/${path}`, body, token);
const verify = async (email: string) => {
  const token = await mailbox.takeToken(email, 'verify-email');
  return () => post('email/verify', { token });
};
/** Uses a code of the app: the use of a recovery code is an audit entry of its own. */
const guardedWithProof = async () => {
  const { person, secret } = await signUpWithTotp(server);
  return { person, proof: { password: PASSWORD, code: await codeOf(secret) } };
};

/** A user, and the action that they will perform. */
type Fixture = Promise<{ person: Person; act: () => Promise<Answer> }>;

const ACTIONS: [AuditAction, () => Fixture][] = [
  [
    'user.password_changed',
    async () => {
      const person = await signUp(server.api);
      return { person, act: () => post('password', { password: PASSWORD, newPassword }, person) };
    },
  ],
  [
    'user.password_reset',
    async () => {
      const person = await signUp(server.api);
      const email = `${person.username}@example.org`;
      await (
        await verify(email)
      )();
      await post('password/forgot', { email });
      const token = await mailbox.takeToken(email, 'reset-password');
      return { person, act: () => post('password/reset', { token, newPassword }) };
    },
  ],
  [
    'user.email_changed',
    async () => {
      const person = await signUp(server.api);
      return { person, act: await verify(`${person.username}@example.org`) };
    },
  ],
  [
    'user.totp_enabled',
    async () => {
      const person = await signUp(server.api);
      const { body } = await post('totp/setup', { password: PASSWORD }, person);
      const code = await codeOf(body.secret);
      return { person, act: () => post('totp/enable', { code }, person) };
    },
  ],
  [
    'user.totp_disabled',
    async () => {
      const { person, proof } = await guardedWithProof();
      return { person, act: () => post('totp/disable', proof, person) };
    },
  ],
  [
    'user.recovery_codes_renewed',
    async () => {
      const { person, proof } = await guardedWithProof();
      return { person, act: () => post('totp/recovery-codes', proof, person) };
    },
  ],
  [
    'user.recovery_code_used',
    async () => {
      const { person, recoveryCodes } = await signUpWithTotp(server);
      return { person, act: () => login(server.api, person, { code: recoveryCodes[0]! }) };
    },
  ],
];

/** The credentials of a user as they are stored. */
async function credentialsOf({ id }: Person): Promise<unknown> {
  const user = await server.context.database.collections.users.findOne({ _id: new ObjectId(id) });
  const { passwordHash, email, totp } = user!;
  return { passwordHash, email, enabledAt: totp?.enabledAt, recoveryHashes: totp?.recoveryHashes };
}

describe('every change of credentials', () => {
  it.each(ACTIONS)('is in the audit log: %s', async (action, createFixture) => {
    const { person, act } = await createFixture();
    const before = await credentialsOf(person);
    const { status } = await act();
    expect(Math.floor(status / 100)).toBe(2);
    expect(await credentialsOf(person)).not.toEqual(before);
    expect(await auditOf(server, person, action)).toMatchObject([
      { actorId: new ObjectId(person.id), address: '127.0.0.1' },
    ]);
  });

  it.each(ACTIONS)(
    'is refused when it cannot be written to the audit log: %s',
    async (action, createFixture) => {
      const { person, act } = await createFixture();
      const before = await credentialsOf(person);
      const { collections } = server.context.database;
      const { auditLog } = collections;
      collections.auditLog = {
        ...auditLog,
        insertOne: () => Promise.reject(new Error('The disk is on fire.')),
      };
      const answer = await act();
      collections.auditLog = auditLog;
      expect(answer).toMatchObject(refused(500, 'internal_error'));
      expect(await credentialsOf(person)).toEqual(before);
      expect(await auditOf(server, person, action)).toEqual([]);
    },
  );
});
