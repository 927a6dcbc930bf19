import { ObjectId } from 'mongodb';
import { pino } from 'pino';
import { createContext } from '../../../context';
import { startServer } from '../../../start-server';
import { auditOf, everythingStored, login, me, refused } from '../../fixtures/accounts';
import { createApi } from '../../fixtures/api';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { codeOf, earlyInStep, allowCodeReuse, signUpWithTotp, type TotpUser } from '../../fixtures/totp';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const post = (act: string, body: object, { token }: Person) =>
  server.api.post(`/api/auth/totp/${act}`, body, token);
const logIn = ({ person }: TotpUser, code?: string) => login(server.api, person, code ? { code } : {});
const proof = async ({ secret }: TotpUser) => ({ password: PASSWORD, code: await codeOf(secret) });
/** A code that is not valid now. */
const wrongCode = async (secret: string) => {
  const right = await Promise.all([-60, -30, 0, 30, 60].map((drift) => codeOf(secret, drift)));
  return ['000000', '111111', '222222', '333333', '444444', '555555'].find((code) => !right.includes(code))!;
};

describe('setting up the second factor', () => {
  it('returns a secret, its URI and a QR code', async () => {
    const ada = await signUp(server.api, 'ada');
    const { status, body } = await post('setup', { password: PASSWORD }, ada);
    expect(status).toBe(200);
    expect(body.secret).toMatch(/^[A-Z2-7]{32,}$/);
    const url = new URL(body.otpauthUrl);
    expect([url.protocol, url.host, decodeURIComponent(url.pathname)]).toEqual([
      'otpauth:',
      'totp',
      `/Parley:${ada.username}`,
    ]);
    expect(url.searchParams.get('secret')).toBe(body.secret);
    const picture = Buffer.from(body.qrCode.replace('data:image/png;base64,', ''), 'base64');
    expect(picture.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  });

  it('requires the password', async () => {
    const ada = await signUp(server.api, 'ada');
    expect(await post('setup', { password: 'wrong' }, ada)).toMatchObject(refused(401, 'password_wrong'));
  });

  it('takes effect only after a first code', async () => {
    const ada = await signUp(server.api, 'ada');
    expect(await post('enable', { code: '123456' }, ada)).toMatchObject(refused(409, 'totp_not_enabled'));
    const { secret } = (await post('setup', { password: PASSWORD }, ada)).body;
    expect((await login(server.api, ada)).status).toBe(200);
    expect(await post('enable', { code: await wrongCode(secret) }, ada)).toMatchObject(
      refused(401, 'totp_invalid'),
    );
    expect((await me(server.api, ada)).body.user.totpEnabled).toBe(false);
    const { status, body } = await post('enable', { code: await codeOf(secret) }, ada);
    expect(status).toBe(200);
    expect(new Set(body.recoveryCodes).size).toBe(10);
    expect((await me(server.api, ada)).body.user.totpEnabled).toBe(true);
    expect(await auditOf(server, ada)).toMatchObject([{ action: 'user.totp_enabled' }]);
    expect(await everythingStored(server)).not.toContain(body.recoveryCodes[0]);
  });

  it('uses the most recent secret, and is refused when a second factor is enabled', async () => {
    const ada = await signUp(server.api, 'ada');
    const first = (await post('setup', { password: PASSWORD }, ada)).body.secret;
    const second = (await post('setup', { password: PASSWORD }, ada)).body.secret;
    expect((await post('enable', { code: await codeOf(first) }, ada)).status).toBe(401);
    expect((await post('enable', { code: await codeOf(second) }, ada)).status).toBe(200);
    const guarded = await signUpWithTotp(server);
    expect(await post('setup', await proof(guarded), guarded.person)).toMatchObject(
      refused(409, 'totp_already_enabled'),
    );
    expect(await post('enable', { code: await codeOf(guarded.secret) }, guarded.person)).toMatchObject(
      refused(409, 'totp_already_enabled'),
    );
  });
});

describe('logging in with a second factor', () => {
  let guarded: TotpUser;

  beforeAll(async () => {
    guarded = await signUpWithTotp(server);
  });
  beforeEach(async () => {
    await allowCodeReuse(server.context, guarded);
    await earlyInStep();
  });

  it('asks for a code only after the right password', async () => {
    expect(await logIn(guarded)).toMatchObject(refused(401, 'totp_required'));
    const wrong = await login(server.api, guarded.person, { password: 'wrong' });
    expect(wrong).toMatchObject(refused(401, 'invalid_credentials'));
    const code = await codeOf(guarded.secret);
    expect(await login(server.api, guarded.person, { password: 'wrong', code })).toMatchObject(
      refused(401, 'invalid_credentials'),
    );
    expect((await logIn(guarded, code)).status).toBe(200);
  });

  it('refuses a wrong code and a used one', async () => {
    expect(await logIn(guarded, await wrongCode(guarded.secret))).toMatchObject(refused(401, 'totp_invalid'));
    const code = await codeOf(guarded.secret);
    expect((await logIn(guarded, code)).status).toBe(200);
    expect(await logIn(guarded, code)).toMatchObject(refused(401, 'totp_invalid'));
  });

  it('accepts a code once, however often it arrives at once', async () => {
    const code = await codeOf(guarded.secret);
    const answers = await Promise.all(Array.from({ length: 5 }, () => logIn(guarded, code)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401, 401]);
  });

  it.each([-30, 0, 30])('accepts a code of a clock that is %d seconds off', async (drift) => {
    expect((await logIn(guarded, await codeOf(guarded.secret, drift))).status).toBe(200);
  });

  it.each([-90, 90])('refuses a code of a clock that is %d seconds off', async (drift) => {
    const code = await codeOf(guarded.secret, drift);
    expect(await logIn(guarded, code)).toMatchObject(refused(401, 'totp_invalid'));
  });

  it('refuses codes from before a used one', async () => {
    expect((await logIn(guarded, await codeOf(guarded.secret, 30))).status).toBe(200);
    expect((await logIn(guarded, await codeOf(guarded.secret))).status).toBe(401);
  });

  it.each(['12345', '1234567', '      ', '１２３４５６', 'abcdef', '-12345', '1e5000'])(
    'refuses %j',
    async (code) => {
      expect([400, 401]).toContain((await logIn(guarded, code)).status);
    },
  );
});

describe('recovery codes', () => {
  it('each work for one log-in, in any case; their use is in the audit log', async () => {
    const guarded = await signUpWithTotp(server);
    const [first, second] = guarded.recoveryCodes as [string, string];
    expect(first).toMatch(/^[0-9a-z]{5}-[0-9a-z]{5}$/);
    expect((await logIn(guarded, first)).status).toBe(200);
    expect(await logIn(guarded, first)).toMatchObject(refused(401, 'totp_invalid'));
    const answers = await Promise.all([1, 2, 3].map(() => logIn(guarded, second.toUpperCase())));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401]);
    expect(await auditOf(server, guarded.person, 'user.recovery_code_used')).toHaveLength(2);
  });

  it('and codes of the app may contain separators', async () => {
    const guarded = await signUpWithTotp(server);
    const [first, second] = guarded.recoveryCodes as [string, string];
    expect((await logIn(guarded, first.replace('-', ''))).status).toBe(200);
    expect((await logIn(guarded, ` ${second.replace('-', ' ')} `)).status).toBe(200);
    // In another spelling it is still a used code.
    expect(await logIn(guarded, first)).toMatchObject(refused(401, 'totp_invalid'));
    const code = await codeOf(guarded.secret);
    expect((await logIn(guarded, `${code.slice(0, 3)} ${code.slice(3)}`)).status).toBe(200);
  });

  it('are replaced with a proof, and the old ones become void', async () => {
    const guarded = await signUpWithTotp(server);
    const { person } = guarded;
    expect(await post('recovery-codes', { password: PASSWORD }, person)).toMatchObject(
      refused(401, 'totp_required'),
    );
    const { status, body } = await post('recovery-codes', await proof(guarded), person);
    expect([status, body.recoveryCodes.length]).toEqual([200, 10]);
    expect((await logIn(guarded, guarded.recoveryCodes[0])).status).toBe(401);
    expect((await logIn(guarded, body.recoveryCodes[0])).status).toBe(200);
  });

  it('of another user do not work', async () => {
    const [one, other] = [await signUpWithTotp(server), await signUpWithTotp(server)];
    expect((await logIn(one, other.recoveryCodes[0])).status).toBe(401);
  });
});

describe('disabling the second factor', () => {
  it('requires password and code; then the password alone logs in', async () => {
    const guarded = await signUpWithTotp(server);
    const { person } = guarded;
    expect(await post('disable', { password: PASSWORD }, person)).toMatchObject(
      refused(401, 'totp_required'),
    );
    const wrong = { password: 'wrong', code: await codeOf(guarded.secret) };
    expect(await post('disable', wrong, person)).toMatchObject(refused(401, 'password_wrong'));
    expect((await post('disable', await proof(guarded), person)).status).toBe(204);
    expect((await login(server.api, person)).status).toBe(200);
    expect((await me(server.api, person)).body.user.totpEnabled).toBe(false);
    expect(await auditOf(server, person, 'user.totp_disabled')).toHaveLength(1);
    expect(await post('disable', { password: PASSWORD }, person)).toMatchObject(
      refused(409, 'totp_not_enabled'),
    );
  });
});

describe('the TOTP secret', () => {
  const users = () => server.context.database.collections.users;

  /** The same installation after a restart with other secrets, and its log. */
  async function restarted(change: (config: TestServer['context']['config']) => object) {
    const { config, database } = server.context;
    const lines: Record<string, any>[] = [];
    const logger = pino(
      { level: 'warn' },
      { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    );
    const context = await createContext({ ...config, ...change(config) }, { database, logger });
    const running = await startServer(context);
    return {
      api: await createApi(running.url),
      errors: () => lines.filter(({ level }) => level >= 50),
      close: async () => {
        await running.close();
        await context.close();
      },
    };
  }

  it('is never stored in plain text, neither before the first code nor afterwards', async () => {
    const ada = await signUp(server.api, 'ada');
    const { secret } = (await post('setup', { password: PASSWORD }, ada)).body;
    expect(await everythingStored(server)).not.toContain(secret);
    expect((await post('enable', { code: await codeOf(secret) }, ada)).status).toBe(200);
    expect(await everythingStored(server)).not.toContain(secret);
  });

  it('is valid after a change of the signing secret', async () => {
    const guarded = await signUpWithTotp(server);
    const rotated = await restarted(({ auth }) => ({
      auth: { ...auth, jwtSecret: 'the new signing secret, of more than 32 characters' },
    }));
    const { status } = await login(rotated.api, guarded.person, { code: await codeOf(guarded.secret) });
    expect(status).toBe(200);
    await rotated.close();
  });

  it('cannot be decrypted with another key: this is logged, and only codes are refused', async () => {
    const [guarded, plain] = [await signUpWithTotp(server), await signUp(server.api, 'plain')];
    const other = await restarted(() => ({ encryptionKey: 'another key, of more than 32 characters' }));
    const code = await codeOf(guarded.secret);
    const unavailable = refused(503, 'totp_unavailable');
    expect(await login(other.api, guarded.person, { code })).toMatchObject(unavailable);
    const logged = JSON.stringify(other.errors());
    expect(logged).toMatch(/encrypted with another ENCRYPTION_KEY/);
    expect(logged).toContain(guarded.person.id);
    expect(logged).not.toContain(guarded.secret);
    // A wrong password does not reveal it.
    const wrong = await login(other.api, guarded.person, { password: 'wrong', code });
    expect(wrong).toMatchObject(refused(401, 'invalid_credentials'));

    expect((await login(other.api, plain)).status).toBe(200);
    const [first, second] = guarded.recoveryCodes as [string, string];
    const answer = await login(other.api, guarded.person, { code: first });
    expect(answer.status).toBe(200);
    // The owner sets it up again with another recovery code.
    const token: string = answer.body.accessToken;
    const disable = { password: PASSWORD, code: second };
    expect((await other.api.post('/api/auth/totp/disable', disable, token)).status).toBe(204);
    const setup = await other.api.post('/api/auth/totp/setup', { password: PASSWORD }, token);
    const enable = { code: await codeOf(setup.body.secret) };
    expect((await other.api.post('/api/auth/totp/enable', enable, token)).status).toBe(200);
    await other.close();
  });

  it('of one user does not work for another when copied in the database', async () => {
    const [thief, victim] = [await signUpWithTotp(server), await signUpWithTotp(server)];
    const { totp } = (await users().findOne({ _id: new ObjectId(thief.person.id) }))!;
    await users().updateOne({ _id: new ObjectId(victim.person.id) }, { $set: { totp } });
    expect(await logIn(victim, await codeOf(thief.secret))).toMatchObject(refused(503, 'totp_unavailable'));
  });
});
