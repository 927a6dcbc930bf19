import { auditOf, login } from '../fixtures/accounts';
import { PASSWORD, signUp } from '../fixtures/people';
import { runNpmScript } from '../fixtures/process';
import { startTestServer, type TestServer } from '../fixtures/server';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await signUp(server.api, 'founder');
});
afterAll(() => server.close());

/** Runs `npm run create-admin` on the database of the server. */
function createAdmin(parameters: string[], input: string) {
  const { database, dataDir } = server.context.config;
  const environment = {
    MONGODB_URI: database.uri!,
    MONGODB_DATABASE: database.name,
    BCRYPT_COST: '4',
  };
  return runNpmScript('create-admin', parameters, dataDir, environment, input);
}

const ADA = ['--username', 'ada', '--email', 'ada@example.org'];

it('makes a super admin on a running installation, who can log in at once', async () => {
  expect(await createAdmin(ADA, `${PASSWORD}\n`)).toEqual({
    code: 0,
    stdout: 'ada is super admin.',
    stderr: '',
  });
  const { status, body } = await login(server.api, { username: 'ada' });
  expect([status, body.user.role]).toEqual([200, 'super_admin']);
  expect((await server.api.get('/api/admin/audit-log', body.accessToken)).status).toBe(200);
  expect(await auditOf(server, body.user, 'user.role_changed')).toMatchObject([
    { actorId: null, details: { role: 'super_admin' } },
  ]);

  expect(await createAdmin(ADA, `${PASSWORD}\n`)).toMatchObject({
    code: 1,
    stderr: 'This username is taken.',
  });
}, 60_000);

it.each<[string, string[], string, RegExp]>([
  ['no name', [], PASSWORD, /--username and --email are needed/],
  ['no password', ['--username', 'bob', '--email', 'b@example.org'], '', /password is missing/],
  ['a common password', ['--username', 'bob', '--email', 'b@example.org'], 'password123', /tried first/],
])(
  'says what is wrong with %s, and makes nothing',
  async (_, parameters, input, message) => {
    const { code, stderr } = await createAdmin(parameters, input);
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
    expect((await login(server.api, { username: 'bob' })).status).toBe(401);
  },
  60_000,
);
