import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { auditOf, login } from '../fixtures/accounts';
import { PASSWORD, signUp } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';

const PROJECT = join(__dirname, '..', '..', '..');

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await signUp(server.api, 'founder');
});
afterAll(() => server.close());

/** Runs `npm run create-admin` on the database of the server. */
async function createAdmin(parameters: string[], input: string) {
  const { database, dataDir } = server.context.config;
  const child = spawn('npm', ['run', '--silent', 'create-admin', '--', ...parameters], {
    cwd: PROJECT,
    env: {
      PATH: process.env['PATH'],
      HOME: dataDir,
      DATA_DIR: dataDir,
      MONGODB_URI: database.uri,
      MONGODB_DATABASE: database.name,
      BCRYPT_COST: '4',
    },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout: stdout.trim(), stderr: stderr.trim() };
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
