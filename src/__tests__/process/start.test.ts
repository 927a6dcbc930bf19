import { spawn } from 'node:child_process';
import { access, mkdir, readdir, stat, watch, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createApi } from '../fixtures/api';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';

afterAll(cleanUp);

/** Starts a server that must fail. @returns its message for the operator, a single line without anything else. */
async function refusal(settings: Record<string, string>, workingDirectory?: string): Promise<string> {
  const server = await spawnServer(settings, workingDirectory);
  expect({ ...(await server.exited), stdout: server.stdout }).toEqual({ code: 1, signal: null, stdout: '' });
  expect(server.stderr).toMatch(/^Parley cannot start: .+\n$/);
  return server.stderr.trim().replace('Parley cannot start: ', '');
}

it('reports where it listens, where the docs and the data are, and how to create the first account', async () => {
  const folder = await temporaryFolder();
  const server = await spawnServer({}, folder);
  const url = await server.listening();
  expect(url).toMatch(/^http:\/\/localhost:\d+$/);
  expect(server.stdout.split('\n')).toEqual([
    expect.stringMatching(/^Parley \d+\.\d+\.\d+ is running\.$/),
    `  URL            ${url}`,
    `  API docs       ${url}/api-docs`,
    `  Data           ${join(folder, 'data')}`,
    `  Uploads        ${join(folder, 'uploads')}`,
    `  First account  The first one to register (POST ${url}/api/auth/register) becomes super admin.`,
    '',
  ]);
  // Its output is true.
  const api = await createApi(url);
  expect((await api.get('/health/ready')).status).toBe(200);
  expect((await fetch(`${url}/api-docs`)).status).toBe(200);
  const { body } = await api.post('/api/auth/register', {
    username: 'ada',
    email: 'ada@example.org',
    password: 'correct horse battery',
  });
  expect(body.user.role).toBe('super_admin');
  expect(server.stderr).toBe('');
  await server.end('SIGTERM');
});

it('reads .env, warns about variables that resemble settings, and protects its files from other users', async () => {
  const folder = await temporaryFolder();
  const shared = join(folder, 'shared');
  await mkdir(shared, { mode: 0o755 });
  await writeFile(join(folder, '.env'), 'DATA_DIR=./shared\n');
  const settings = {
    MONGODB_URL: 'mongodb://elsewhere',
    PARLEY_PORT: 'tcp://10.0.0.7:3000',
    PARLEY_SERVICE_HOST: '10.0.0.7',
  };
  const server = await spawnServer(settings, folder);
  await server.listening();
  expect(server.stdout).toContain(`Data           ${shared}\n`);
  expect(server.stderr).toBe(
    'Warning: MONGODB_URL in the environment is not a setting of Parley and is ignored. Did you mean MONGODB_URI?\n',
  );
  const names = await readdir(shared);
  expect(names).toContain('store.mdb');
  for (const name of names) {
    expect([name, (await stat(join(shared, name))).mode & 0o077]).toEqual([name, 0]);
  }
  expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
});

it('exits on SIGTERM while it is starting', async () => {
  // A database that accepts the connection and never answers.
  const connections = new Set<Socket>();
  const silent = createServer((connection) => connections.add(connection));
  const connected = once(silent, 'connection');
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const server = await spawnServer({ MONGODB_URI: `mongodb://127.0.0.1:${port}` });
  await connected;
  await expect(server.end('SIGTERM')).resolves.toEqual({ code: 0, signal: null });
  expect({ stdout: server.stdout, stderr: server.stderr }).toEqual({ stdout: '', stderr: '' });
  for (const connection of connections) connection.destroy();
  silent.close();
});

it.each([1, 20, 60])(
  'exits on SIGTERM while it creates the embedded store, after %i changes of its folder',
  async (writes) => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'data'));
    const changes = watch(join(folder, 'data'), { signal: AbortSignal.timeout(20_000) });
    const server = await spawnServer({}, folder);
    let count = 0;
    for await (const _ of changes) if (++count === writes) break;
    await expect(server.end('SIGTERM')).resolves.toEqual({ code: 0, signal: null });
    expect({ stdout: server.stdout, stderr: server.stderr }).toEqual({ stdout: '', stderr: '' });
  },
);

describe('a failed start', () => {
  it('names a port that is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    expect(await refusal({ PORT: String(port) })).toBe(
      `PORT ${port} is taken by another program. Set another PORT.`,
    );
    expect(await refusal({ METRICS_PORT: String(port) })).toBe(
      `METRICS_PORT ${port} is taken by another program. Set another METRICS_PORT.`,
    );
    other.close();
  });

  it('closes everything that it had opened', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const folder = await temporaryFolder();
    // Redis refuses connections, so its clients retry; their warnings are not the subject here.
    const settings = { DATA_DIR: folder, REDIS_URL: 'redis://127.0.0.1:1', LOG_LEVEL: 'silent' };
    expect(await refusal({ ...settings, PORT: String(port) })).toBe(
      `PORT ${port} is taken by another program. Set another PORT.`,
    );
    await expect(access(join(folder, 'store.lock'))).rejects.toThrow('ENOENT');
    other.close();
  });

  it('names an upload folder that cannot be created, and closes the store', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'uploads'));
    await writeFile(join(folder, 'uploads', 'images'), '');
    const reason = await refusal({ DATA_DIR: folder });
    expect(reason).toContain(`file storage: UPLOAD_DIR ${join(folder, 'uploads')} cannot be written: `);
    expect(reason).toContain(join(folder, 'uploads', 'images'));
    await expect(access(join(folder, 'store.lock'))).rejects.toThrow('ENOENT');
  });

  it('names a host that does not belong to this machine', async () => {
    // An address reserved for documentation, which no machine has.
    const hosts = ['192.0.2.1', 'no.such.host.invalid'];
    const lines = await Promise.all(hosts.map((host) => refusal({ HOST: host })));
    expect(lines).toEqual(hosts.map((host) => `HOST ${host} is not an address of this machine.`));
  });

  it('names a DATA_DIR that is a file', async () => {
    const file = join(await temporaryFolder(), 'file');
    await writeFile(file, '');
    expect(await refusal({ DATA_DIR: file })).toContain(`DATA_DIR ${file} cannot be written: `);
  });

  it('names a DATA_DIR that another server uses, and does not disturb that server', async () => {
    const folder = await temporaryFolder();
    const first = await spawnServer({ DATA_DIR: folder });
    const url = await first.listening();
    expect(await refusal({ DATA_DIR: folder })).toContain(folder);
    const api = await createApi(url);
    expect((await api.get('/health/ready')).status).toBe(200);
    expect(await first.end('SIGTERM')).toEqual({ code: 0, signal: null });
    // Its exit frees the folder.
    const next = await spawnServer({ DATA_DIR: folder });
    await next.listening();
    await next.end('SIGTERM');
  });

  it('names a setting that is malformed, missing or, in .env, unknown', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, '.env'), 'PROT=80\n');
    const lines = await Promise.all([
      refusal({ PORT: 'http' }),
      refusal({}, folder),
      refusal({ NODE_ENV: 'production', BCRYPT_COST: '10' }),
      refusal({ NODE_ENV: 'production', BCRYPT_COST: '10', JWT_SECRET: 'x'.repeat(32) }),
    ]);
    expect(lines).toEqual([
      'PORT must be a whole number from 0 to 65535.',
      'PROT in .env is not a setting of Parley. Did you mean PORT?',
      'JWT_SECRET must be set in production (openssl rand -base64 48 generates one).',
      'ENCRYPTION_KEY must be set in production (openssl rand -base64 48 generates one).',
    ]);
  });

  it('names a malformed MONGODB_URI without showing its password', async () => {
    const wrong = [
      'mongodb://',
      'mongodb://%zz',
      'mongodb://me:hunter2@host:99999/',
      'mongodb://me:hunter2@host/?ssl=perhaps',
      'mongodb+srv://me:hunter2@no.such.host.invalid/',
    ];
    const lines = await Promise.all(wrong.map((uri) => refusal({ MONGODB_URI: uri })));
    for (const line of lines) {
      expect(line).toMatch(/^MONGODB_URI cannot be used: /);
      expect(line).not.toContain('hunter2');
    }
  });

  it.each([
    [{}, 'MONGODB_URI must be set in a cluster: its processes share one database'],
    [{ MONGODB_URI: 'mongodb://127.0.0.1:1' }, 'REDIS_URL must be set in a cluster'],
  ])('names what the processes of a cluster must share, with %j', async (settings, reason) => {
    const exec = join(__dirname, '..', '..', '..', 'dist', 'server.js');
    const primary = `const cluster = require('node:cluster');
      cluster.setupPrimary({ exec: ${JSON.stringify(exec)}, execArgv: [] });
      cluster.fork().on('exit', (code) => process.exit(code));`;
    const child = spawn(process.execPath, ['-e', primary], {
      cwd: await temporaryFolder(),
      env: { PATH: process.env['PATH'], PORT: '0', ...settings },
    });
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    expect(stderr).toContain(`Parley cannot start: ${reason}`);
    expect(code).toBe(1);
  });

  it('reads .env from the working directory', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'elsewhere'));
    await writeFile(join(folder, '.env'), 'DATA_DIR=./elsewhere/data\n');
    const server = await spawnServer({}, folder);
    await server.listening();
    expect(server.stdout).toContain(`Data           ${join(folder, 'elsewhere', 'data')}\n`);
    await server.end('SIGTERM');
  });
});
