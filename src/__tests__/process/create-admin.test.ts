import * as net from 'node:net';
import { createContext } from '../../context';
import { auditOf, login } from '../fixtures/accounts';
import { createRoom, PASSWORD, signUp } from '../fixtures/people';
import { runScript } from '../fixtures/process';
import { startTestServer, type TestServer } from '../fixtures/server';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await signUp(server.api, 'founder');
});
afterAll(() => server.close());

/** Runs a script of package.json on the database of a server. */
function run(name: string, parameters: string[], input = '', { context }: TestServer = server) {
  const { database, dataDir } = context.config;
  const environment = {
    MONGODB_URI: database.uri!,
    MONGODB_DATABASE: database.name,
    BCRYPT_COST: '4',
  };
  return runScript(name, parameters, dataDir, environment, input);
}

const createAdmin = (parameters: string[], input: string) => run('create-admin', parameters, input);

const ADA = ['--username', 'ada', '--email', 'ada@example.org'];

it('creates a super admin on a running installation, who can log in at once', async () => {
  expect(await createAdmin(ADA, `${PASSWORD}\n`)).toEqual({
    code: 0,
    stdout: 'ada is a super admin.',
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
  ['no name', [], PASSWORD, /--username and --email are required/],
  ['no password', ['--username', 'bob', '--email', 'b@example.org'], '', /password is missing/],
  [
    'a common password',
    ['--username', 'bob', '--email', 'b@example.org'],
    'password123',
    /attackers try it first/,
  ],
])(
  'reports what is wrong with %s and creates nothing',
  async (_, parameters, input, message) => {
    const { code, stderr } = await createAdmin(parameters, input);
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
    expect((await login(server.api, { username: 'bob' })).status).toBe(401);
  },
  60_000,
);

it('constructs all services without a timer or a connection', async () => {
  const { config, database } = server.context;
  const begun = [
    jest.spyOn(globalThis, 'setTimeout'),
    jest.spyOn(globalThis, 'setInterval'),
    jest.spyOn(net.Socket.prototype, 'connect'),
  ];
  const everything = {
    ...config,
    redisUrl: 'redis://127.0.0.1:1',
    throttle: { enabled: true },
    linkPreviews: { enabled: true },
    mail: { ...config.mail, smtpUrl: 'smtp://127.0.0.1:1' },
  };
  // The database needs no waiting, so no other work of this process runs in between.
  const context = await createContext(everything, { database });
  const calls = begun.map((spy) => spy.mock.calls.length);
  for (const spy of begun) spy.mockRestore();
  await context.close();
  expect(calls).toEqual([0, 0, 0]);
});

it('leaves background work to the server, as every script does', async () => {
  const idle = await startTestServer();
  const founder = await signUp(idle.api, 'founder');
  const { channelId } = await createRoom(idle.api, founder);
  const input = { channelId, body: 'Later', sendAt: new Date(Date.now() + 3_600_000).toISOString() };
  expect((await idle.api.post('/api/client/scheduled-messages', input, founder.token)).status).toBe(201);
  // It still answers requests, but starts nothing by itself any more.
  await idle.context.close();
  const { scheduledMessages } = idle.context.database.collections;
  const due = new Date(Date.now() - 60_000);
  await scheduledMessages.updateOne({}, { $set: { dueAt: due } });

  const ends = await Promise.all([
    run('create-admin', ADA, `${PASSWORD}\n`, idle),
    run('audit:verify', [], '', idle),
    run('seed', ['--size', 'small'], '', idle),
    run('clear', [], '', idle),
  ]);
  expect(ends.map(({ code, stdout, stderr }) => [code, stdout.split('\n')[0] || stderr])).toEqual([
    [0, 'ada is a super admin.'],
    [0, expect.stringMatching(/^The audit log is intact/)],
    [1, expect.stringMatching(/has accounts already/)],
    [1, expect.stringMatching(/not a terminal/)],
  ]);
  expect(await scheduledMessages.find().toArray()).toMatchObject([
    { state: 'waiting', dueAt: due, takenAt: null },
  ]);
  await idle.close();
}, 120_000);
