import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ObjectId } from 'mongodb';
import { IceServers, type IceSettings } from '../../../services/calls/ice-servers';
import { HAS_COTURN, startCoturn, type Coturn } from '../../fixtures/coturn';
import { signUpAll } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { TurnClient, type TurnCredentials } from '../../fixtures/turn-client';
import { until } from '../../fixtures/until';

const SECRET = 'the static-auth-secret of the tests';
const NEXT_SECRET = 'the secret that replaces it';
const STUN = 'stun:stun.example.org';
const TURN = 'turn:turn.example.org';

/** The first and last address, or one of the middle, of networks that are not public. */
const INTERNAL_ADDRESSES = [
  '0.0.0.0',
  '10.0.0.0',
  '10.255.255.255',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '172.16.0.0',
  '172.31.255.255',
  '192.168.0.0',
  '192.168.255.255',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
];
const PUBLIC_ADDRESSES = ['9.255.255.255', '11.0.0.0', '172.15.255.255', '172.32.0.0', '192.169.0.0'];

const turn = (urls: string[], ttlSeconds = 3600) => ({ urls, secret: SECRET, ttlSeconds });

describe('the ICE servers of a user', () => {
  const userId = new ObjectId('64b7f3a2c1d4e5f60718293a');
  const now = new Date('2026-11-30T12:00:00.999Z');
  const forUser = (settings: IceSettings) => new IceServers(settings).forUser(userId, now);

  it('are none without settings: no address of a user is sent to a third party', () => {
    expect(forUser({ stunUrls: [], turn: undefined })).toEqual({ iceServers: [], iceExpiresAt: null });
  });

  it('have no credentials for STUN', () => {
    const settings = { stunUrls: [STUN, 'stuns:stun.example.org'], turn: undefined };
    expect(forUser(settings)).toEqual({ iceServers: [{ urls: settings.stunUrls }], iceExpiresAt: null });
  });

  it('have credentials for TURN that name the time of their expiry and the user', () => {
    expect(forUser({ stunUrls: [STUN], turn: turn([TURN]) })).toEqual({
      iceServers: [
        { urls: [STUN] },
        {
          urls: [TURN],
          username: '1796043600:64b7f3a2c1d4e5f60718293a',
          // printf 1796043600:64b7f3a2c1d4e5f60718293a | openssl dgst -sha1 -hmac "$SECRET" -binary | base64
          credential: 'kR8FnafjMtyd36oquv67CYbmaUM=',
        },
      ],
      iceExpiresAt: '2026-11-30T13:00:00.000Z',
    });
  });
});

if (!HAS_COTURN) console.warn('The TURN credentials are not tested with coturn: there is no turnserver.');

(HAS_COTURN ? describe : describe.skip)('coturn', () => {
  let coturn: Coturn;
  const clients: TurnClient[] = [];

  beforeAll(async () => {
    coturn = await startCoturn(SECRET, [
      'user-quota=2',
      'stale-nonce=1',
      `static-auth-secret=${NEXT_SECRET}`,
    ]);
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  afterAll(() => coturn.close());

  /** Credentials for this coturn. */
  function credentials(userId = new ObjectId(), issuedAt = new Date(), ttlSeconds = 3600): TurnCredentials {
    const service = new IceServers({ stunUrls: [], turn: turn([coturn.url], ttlSeconds) });
    return service.forUser(userId, issuedAt).iceServers[0]!;
  }

  async function connect(given: TurnCredentials, { port } = coturn): Promise<TurnClient> {
    const client = await TurnClient.connect(port, given);
    clients.push(client);
    return client;
  }

  const allocate = async (given: TurnCredentials) => (await connect(given)).allocate();

  it('allocates a relay with the credentials of each participant of a call, which only they get', async () => {
    const settings = { TURN_URLS: coturn.url, TURN_SECRET: SECRET, TURN_TTL_SECONDS: '300' };
    const server: TestServer = await startTestServer(settings);
    try {
      const { api } = server;
      const { alice, bob, eve } = await signUpAll(api, 'alice', 'bob', 'eve');
      const before = Date.now();
      const started = await api.post('/api/video-calls', { userId: bob.id }, alice.token);
      expect(started.status).toBe(201);
      const path = `/api/video-calls/${started.body.call.id}`;
      const accepted = await api.post(`${path}/accept`, {}, bob.token);
      const joined = await api.post(`${path}/join`, {}, eve.token);
      expect(joined.status).toBe(404);
      expect(JSON.stringify([joined.body, accepted.body.call])).not.toContain('credential');
      for (const [user, { body }] of [
        [alice, started],
        [bob, accepted],
      ] as const) {
        const { iceServers, iceExpiresAt } = body.connection;
        expect(iceServers).toEqual([
          {
            urls: [coturn.url],
            username: `${Date.parse(iceExpiresAt) / 1000}:${user.id}`,
            credential: expect.any(String),
          },
        ]);
        expect(Date.parse(iceExpiresAt)).toBeGreaterThan(before + 299_000);
        expect(Date.parse(iceExpiresAt)).toBeLessThanOrEqual(Date.now() + 300_000);
        expect(await allocate(iceServers[0])).toEqual({ code: 200, relayed: '127.0.0.1' });
      }
    } finally {
      await server.close();
    }
  });

  it('refuses credentials that have expired', async () => {
    const issuedAt = new Date(Date.now() - 3_602_000);
    expect(await allocate(credentials(new ObjectId(), issuedAt))).toEqual({ code: 401 });
  });

  it('refuses wrong credentials, and those of one user under the name of another or with a later expiry', async () => {
    const { username = '', credential = '' } = credentials();
    const later = `${Number(username.split(':')[0]) + 1}:${username.split(':')[1]}`;
    expect(await allocate({ username, credential: `${credential}x` })).toEqual({ code: 401 });
    expect(await allocate({ username: credentials().username!, credential })).toEqual({ code: 401 });
    expect(await allocate({ username: later, credential })).toEqual({ code: 401 });
    expect(await allocate({ username, credential })).toMatchObject({ code: 200 });
  });

  it('keeps an allocation whose credentials have expired, and gives no new one for them', async () => {
    let short: TurnCredentials = {};
    let client: TurnClient | undefined;
    await until(async () => {
      short = credentials(new ObjectId(), new Date(), 1);
      client = await connect(short);
      return (await client.allocate()).code === 200;
    });
    await until(async () => (await allocate(short)).code === 401);
    expect(await client!.refresh()).toEqual({ code: 200 });
  });

  it('accepts credentials of either secret while one replaces the other', async () => {
    const next = { ...turn([coturn.url]), secret: NEXT_SECRET };
    const { iceServers } = new IceServers({ stunUrls: [], turn: next }).forUser(new ObjectId());
    expect(await allocate(iceServers[0]!)).toMatchObject({ code: 200 });
    expect(await allocate(credentials())).toMatchObject({ code: 200 });
  });

  it('counts all credentials of one user together for its quota', async () => {
    const userId = new ObjectId();
    const codes = [];
    for (const age of [0, 1000, 2000]) {
      codes.push((await allocate(credentials(userId, new Date(Date.now() - age)))).code);
    }
    expect(codes).toEqual([200, 200, 486]);
    expect(await allocate(credentials())).toMatchObject({ code: 200 });
  });

  it('with the configuration of docs/turn.md relays to public addresses only', async () => {
    const page = readFileSync(join(__dirname, '..', '..', '..', '..', 'docs', 'turn.md'), 'utf8');
    const [, sample = ''] = /```ini\n(listening-port=[^`]*)```/.exec(page) ?? [];
    const ofTheMachine = /^((tls-)?listening-port|cert|pkey|realm|static-auth-secret)=/;
    const documented = await startCoturn(
      SECRET,
      sample.split('\n').filter((line) => !ofTheMachine.test(line)),
    );
    try {
      const client = await connect(credentials(), documented);
      expect(await client.allocate()).toMatchObject({ code: 200 });
      const codes: Record<string, number> = {};
      for (const address of [...INTERNAL_ADDRESSES, ...PUBLIC_ADDRESSES]) {
        codes[address] = (await client.createPermission(address)).code;
      }
      expect(codes).toEqual({
        ...Object.fromEntries(INTERNAL_ADDRESSES.map((address) => [address, 403])),
        ...Object.fromEntries(PUBLIC_ADDRESSES.map((address) => [address, 200])),
      });
    } finally {
      await documented.close();
    }
  });
});
