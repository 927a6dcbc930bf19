import { Agent, request } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { io, type Socket } from 'socket.io-client';
import { createApi, type Api } from '../fixtures/api';
import { openDevice, type Device } from '../fixtures/chat-device';
import { freePort } from '../fixtures/free-port';
import { HAS_HAPROXY, startHaproxy, type Haproxy } from '../fixtures/haproxy';
import { HAS_NGINX, startNginx, type Nginx } from '../fixtures/nginx';
import { joinCall, Peer } from '../fixtures/peer';
import { createRoom, PASSWORD, signUpAll, type Person } from '../fixtures/people';
import { cleanUp, spawnDatabase, spawnServer, temporaryFolder } from '../fixtures/process';
import { HAS_REDIS, startRedis } from '../fixtures/redis';
import { until } from '../fixtures/until';

const canRun = HAS_NGINX && HAS_REDIS;
if (!canRun)
  console.warn('deploy/nginx/parley.conf is not tested: nginx, openssl or redis-server is missing.');

const MB = 1024 * 1024;
/** Headers by which a client claims another address. */
const FORGED = { 'X-Forwarded-For': '203.0.113.9', 'X-Real-IP': '203.0.113.9', Forwarded: 'for=203.0.113.9' };
const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']];

/** Two Parley processes behind nginx with the shipped configuration, whose third process does not run. */
(canRun ? describe : describe.skip)('the nginx configuration', () => {
  let nginx: Nginx;
  let ports: [number, number, number];
  let servers: Awaited<ReturnType<typeof spawnServer>>[];
  let agent: Agent | undefined;
  let api: Api;
  let ada: Person;
  let bob: Person;
  let channelId: string;
  const sockets: Socket[] = [];
  const started: { close(): unknown }[] = [];

  beforeAll(async () => {
    const redis = await startRedis();
    started.push(redis);
    ports = [await freePort(), await freePort(), await freePort()];
    nginx = await startNginx(ports);
    started.push(nginx);
    const settings = {
      MONGODB_URI: await spawnDatabase(),
      REDIS_URL: redis.url,
      UPLOAD_DIR: await temporaryFolder(),
      JWT_SECRET: 'the signing secret of this test, long enough',
      ENCRYPTION_KEY: 'the encryption key of this test, long enough',
      PUBLIC_URL: nginx.url,
      TRUST_PROXY: 'loopback',
      THROTTLE_ENABLED: 'false',
      SOCKET_PING_SECONDS: '1',
      LOG_LEVEL: 'error',
    };
    servers = await Promise.all(
      ports
        .slice(0, 2)
        .map((port, index) =>
          spawnServer({ ...settings, PORT: String(port), SOCKET_ROUTE: String(index + 1) }),
        ),
    );
    await Promise.all(servers.map((server) => server.listening()));
    agent = new Agent({ ca: nginx.ca, keepAlive: true });
    api = await createApi(nginx.url, agent);
    ({ ada, bob } = await signUpAll(api, 'ada', 'bob'));
    ({ channelId } = await createRoom(api, ada, [bob]));
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.close();
  });
  afterAll(async () => {
    agent?.destroy();
    await cleanUp();
    await Promise.all(started.map((each) => each.close()));
  });

  /** Sends a request without a body, or the headers of one with a body. */
  function ask(path: string, headers: Record<string, string | number> = {}, method = 'GET') {
    return new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>(
      (resolve, reject) => {
        const call = request(`${nginx.url}${path}`, { method, headers, agent }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
          );
        });
        call.once('error', reject);
        call.flushHeaders();
        if (!('Content-Length' in headers)) call.end();
      },
    );
  }

  /** Connects a client, and counts the pings that it receives. */
  async function connect(person: Person, transports: string[], options: object = {}, url = nginx.url) {
    const socket = io(url, {
      auth: { token: person.token },
      forceNew: true,
      ca: nginx.ca,
      transports,
      ...options,
    });
    sockets.push(socket);
    const client = { socket, pings: 0, ends: [] as string[] };
    socket.io.on('ping', () => client.pings++);
    socket.on('disconnect', (reason) => client.ends.push(reason));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('connect_error', reject);
    });
    return client;
  }

  /** The SOCKET_ROUTE of the process to which a client is connected. */
  const routeOf = ({ io: { engine } }: Socket) => (engine as unknown as { id: string }).id.split('.')[0];

  it('redirects from HTTP to HTTPS and keeps method, path and query', async () => {
    const answer = await fetch(`${nginx.plainUrl}/api/auth/login?next=1`, {
      method: 'POST',
      redirect: 'manual',
    });
    expect(answer.status).toBe(308);
    expect(answer.headers.get('location')).toBe('https://localhost/api/auth/login?next=1');
  });

  it('forwards REST calls, and compresses what is not compressed yet', async () => {
    const answer = await api.get('/api/auth/me', ada.token);
    expect(answer).toMatchObject({ status: 200, body: { user: { id: ada.id } } });
    expect(answer.headers['strict-transport-security']).toBeTruthy();
    const document = await ask('/openapi.json', { 'Accept-Encoding': 'gzip' });
    expect(document.headers['content-encoding']).toBe('gzip');
    expect(JSON.parse(gunzipSync(document.body).toString())).toMatchObject({ openapi: '3.1.0' });
    expect((await ask('/metrics')).status).toBe(404);
  });

  it.each(TRANSPORTS.map((each) => [each.join(', then '), each] as const))(
    'keeps connections over %s open, on both processes',
    async (_, transports) => {
      const clients: Awaited<ReturnType<typeof connect>>[] = [];
      for (let index = 0; index < 6; index++) clients.push(await connect(ada, transports));
      expect(new Set(clients.map(({ socket }) => routeOf(socket)))).toEqual(new Set(['1', '2']));
      await until(() => clients.every(({ pings }) => pings >= 2));
      for (const [index, { socket }] of clients.entries()) {
        const message = {
          channelId,
          clientMessageId: `${transports.join()}-${index}`,
          body: 'through nginx',
        };
        expect(await socket.timeout(10_000).emitWithAck('message:send', message)).toMatchObject({ ok: true });
        expect(socket.io.engine.transport.name).toBe(transports.at(-1));
      }
      expect(clients.flatMap(({ ends }) => ends)).toEqual([]);
    },
  );

  it('forwards the signalling of calls', async () => {
    const devices = await joinCall(api, ada, bob);
    for (const { id, ticket } of devices) {
      const peer = new Peer(nginx.url, id, ticket, { ca: nginx.ca });
      await peer.receives(({ type }) => type === 'OPEN');
      await peer.close();
    }
  });

  it('tells Parley the address of the client, which the client cannot forge', async () => {
    const own = new Agent({ ca: nginx.ca, localAddress: '127.0.0.2' });
    const login = { identifier: bob.username, password: PASSWORD };
    const elsewhere = await createApi(nginx.url, own);
    const { body } = await elsewhere.call('post', '/api/auth/login', { body: login, headers: FORGED });
    const listed = await api.get('/api/auth/sessions', body.accessToken);
    const current = listed.body.sessions.find((session: { current: boolean }) => session.current);
    expect(current.address).toBe('127.0.0.2');

    for (const transports of TRANSPORTS) {
      await connect({ ...bob, token: body.accessToken }, transports, { agent: own, extraHeaders: FORGED });
    }
    const lists = await Promise.all(
      ports.slice(0, 2).map(async (port) => {
        const direct = await createApi(`http://127.0.0.1:${port}`);
        const { body: list } = await direct.get('/api/admin/connections', ada.token);
        return list.users.flatMap(({ connections }: { connections: { address: string }[] }) => connections);
      }),
    );
    const addresses = lists.flat().map(({ address }: { address: string }) => address);
    expect(addresses.length).toBeGreaterThanOrEqual(TRANSPORTS.length);
    expect(new Set(addresses)).toEqual(new Set(['127.0.0.2']));
    own.destroy();
  });

  (HAS_HAPROXY ? it : it.skip)('has an equivalent for HAProxy', async () => {
    const haproxy: Haproxy = await startHaproxy(ports);
    started.push(haproxy);
    const own = new Agent({ ca: haproxy.ca, localAddress: '127.0.0.3', keepAlive: true });
    const redirect = await fetch(`${haproxy.plainUrl}/x?y=1`, { redirect: 'manual' });
    expect(redirect.status).toBe(308);
    const through = await createApi(haproxy.url, own);
    // It asks the processes whether they are ready, and learns that the third one does not run.
    await until(async () => (await through.get('/health/ready')).status === 200);

    const login = { identifier: bob.username, password: PASSWORD };
    const { body } = await through.call('post', '/api/auth/login', { body: login, headers: FORGED });
    const listed = await through.get('/api/auth/sessions', body.accessToken);
    expect(listed.body.sessions[0].address).toBe('127.0.0.3');

    const clients: Awaited<ReturnType<typeof connect>>[] = [];
    for (const transports of [...TRANSPORTS, ...TRANSPORTS])
      clients.push(await connect(ada, transports, { ca: haproxy.ca }, haproxy.url));
    expect(new Set(clients.map(({ socket }) => routeOf(socket)))).toEqual(new Set(['1', '2']));
    await until(() => clients.every(({ pings }) => pings >= 2));
    expect(clients.flatMap(({ ends }) => ends)).toEqual([]);

    const large = { body: { name: 'x'.repeat(2 * MB) }, token: ada.token };
    const refused = await through.call('post', '/api/groups', large).catch(() => undefined);
    // The answer may come while the client still sends; then the client sees only a closed connection.
    if (refused)
      expect(refused).toMatchObject({ status: 413, body: { error: { code: 'payload_too_large' } } });
    own.destroy();
  });

  /** Uploads a sound file of this size. @returns the status and the answer. */
  function uploadSound(bytes: number): Promise<{ status: number; body: any }> {
    const head = '--border\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n';
    const tail = '\r\n--border--\r\n';
    const start = Buffer.concat([Buffer.from('RIFF\xff\xff\xff\x7fWAVEfmt ', 'latin1'), Buffer.alloc(28)]);
    return new Promise((resolve, reject) => {
      const headers = {
        Authorization: `Bearer ${ada.token}`,
        'Content-Type': 'multipart/form-data; boundary=border',
        'Content-Length': head.length + bytes + tail.length,
      };
      const call = request(`${nginx.url}/api/upload`, { method: 'POST', headers, agent }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) }));
      });
      call.once('error', reject);
      call.write(head);
      call.write(start);
      const chunk = Buffer.alloc(MB);
      let rest = bytes - start.length;
      const write = () => {
        while (rest > 0) {
          const part = chunk.subarray(0, Math.min(rest, chunk.length));
          rest -= part.length;
          if (!call.write(part) && rest > 0) {
            call.once('drain', write);
            return;
          }
        }
        call.end(tail);
      };
      write();
    });
  }

  it('lets uploads pass up to the limit of Parley, and answers larger ones with the same error', async () => {
    const stored = await uploadSound(100 * MB);
    expect(stored).toMatchObject({ status: 201, body: { attachment: { size: 100 * MB } } });
    const error = { code: 'payload_too_large', requestId: expect.stringMatching(/^[0-9a-f]{32}$/) };
    // The first is refused by Parley, the second by nginx.
    for (const size of [100 * MB + 100_000, 200 * MB]) {
      const answer = await ask(
        '/api/upload',
        { ...form(size), Authorization: `Bearer ${ada.token}` },
        'POST',
      );
      expect(answer.status).toBe(413);
      expect(JSON.parse(answer.body.toString()).error).toMatchObject(error);
    }
  });
  const form = (bytes: number) => ({
    'Content-Type': 'multipart/form-data; boundary=border',
    'Content-Length': bytes,
  });

  it('logs neither paths nor queries, which can contain secrets', async () => {
    const lines = await nginx.accessLog();
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) {
      expect(line).toMatch(
        /^127\.0\.0\.[12] \[\S+\] [A-Z]+ HTTP\/1\.1 \d{3} \d+ [\d.]+ [\d.:, -]+ [0-9a-f]{32}$/,
      );
    }
  });

  it('skips a process that was killed, whose clients continue on the other one and miss nothing', async () => {
    const membersOf = () => Promise.resolve([ada.id, bob.id]);
    const devices: Device[] = [];
    for (const transports of [...TRANSPORTS, ...TRANSPORTS, ...TRANSPORTS]) {
      const person = devices.length % 2 === 0 ? ada : bob;
      const device = openDevice(nginx.url, api, person, membersOf, { transports, ca: nginx.ca });
      sockets.push(device.socket);
      devices.push(device);
      await device.settle();
      await device.chat.loadHistory(channelId);
    }
    const onFirst = devices.filter(({ socket }) => routeOf(socket) === '1');
    expect(onFirst.length).toBeGreaterThan(0);
    expect(onFirst.length).toBeLessThan(devices.length);

    const sent: string[] = [];
    const sendAll = (round: number) => {
      for (const [index, { chat }] of devices.entries()) {
        const clientMessageId = `failover-${round}-${index}`;
        sent.push(clientMessageId);
        chat.send(channelId, { body: clientMessageId }, clientMessageId);
      }
    };
    sendAll(0);
    servers[0]!.signal('SIGKILL');
    sendAll(1);
    await servers[0]!.exited;
    for (let call = 0; call < 20; call++) expect((await api.get('/health/live')).status).toBe(200);
    sendAll(2);
    await Promise.all(devices.map((device) => device.settle()));
    for (const { socket } of devices) expect(routeOf(socket)).toBe('2');

    // All catch up with `sync`.
    for (const device of devices) device.breakConnection();
    await Promise.all(devices.map((device) => device.settle()));
    const { body } = await api.get(`/api/channels/${channelId}/messages`, ada.token, { limit: 200 });
    const stored = body.messages.map(({ clientMessageId }: { clientMessageId: string }) => clientMessageId);
    const sentHere = (ids: string[]) => ids.filter((id) => id.startsWith('failover')).sort();
    expect(sentHere(stored)).toEqual([...sent].sort());
    for (const { chat } of devices) {
      const shown = [...chat.state.channels.get(channelId)!.messages!.values()];
      expect(sentHere(shown.map(({ clientMessageId }) => clientMessageId))).toEqual([...sent].sort());
    }
  });
});
