import { ObjectId } from 'mongodb';
import { CHROMIUM } from '../../fixtures/browser';
import { useCallPages, type CallPage } from '../../fixtures/call-page';
import { HAS_COTURN, startCoturn, type Coturn } from '../../fixtures/coturn';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { startTestServer, type TestServer } from '../../fixtures/server';

if (!CHROMIUM) console.warn('Video calls between browsers are not tested: there is no Chromium.');
if (!HAS_COTURN) console.warn('Video calls through a relay are not tested: there is no coturn.');

if (!HAS_REDIS) console.warn('Video calls between nodes are not tested: there is no redis-server.');

const TURN_SECRET = 'a secret that coturn and the server share';
const GRACE_MS = 15_000;
const TIMEOUT_MS = 60_000;

(CHROMIUM ? describe : describe.skip)('a video call between browsers', () => {
  let server: TestServer;
  let redis: RedisProcess | undefined;
  let coturn: Coturn | undefined;
  const clock = new ManualClock();
  const pages = useCallPages(() => server);
  let root: Person;
  let ada: Person;
  let bruno: Person;
  let cleo: Person;

  beforeAll(async () => {
    if (HAS_COTURN) coturn = await startCoturn(TURN_SECRET);
    if (HAS_REDIS) redis = await startRedis();
    server = await startTestServer(settings(), { clock });
    root = await signUp(server.api, 'root');
  });
  beforeEach(async () => {
    ({ ada, bruno, cleo } = await signUpAll(server.api, 'ada', 'bruno', 'cleo'));
  });
  afterAll(async () => {
    await server?.close();
    await coturn?.close();
    await redis?.close();
  });

  const settings = () => ({
    PEERJS_ENABLED: 'true',
    CORS_ORIGINS: pages.origin,
    ...(coturn && { TURN_URLS: coturn.url, TURN_SECRET }),
    ...(redis && { REDIS_URL: redis.url }),
  });

  /**
   * Lets one user call another, who accepts; resolves when both receive each other.
   * @param ofCallee the parameters of the page of the callee, by default the same.
   */
  async function call(
    parameters?: Record<string, string>,
    ofCallee = parameters,
  ): Promise<[CallPage, CallPage]> {
    const [caller, callee] = await Promise.all([pages.open(ada, parameters), pages.open(bruno, ofCallee)]);
    await caller.page.fill('#user', bruno.id);
    await caller.click('call');
    await callee.until(({ ringing }) => ringing?.state === 'ringing');
    await callee.click('accept');
    await Promise.all(
      [caller, callee].map((page) => page.until((client) => client.call?.state === 'active')),
    );
    await bothReceive(caller, callee);
    return [caller, callee];
  }

  const bothReceive = (...both: CallPage[]) => Promise.all(both.map((page) => page.receives(1)));
  const isRegistered = (page: CallPage) =>
    page.until(({ socket, mesh }) => socket.connected && mesh.isRegistered);
  const hasEnded = (page: CallPage, endReason: string) =>
    page.until(
      (client, wanted) =>
        !client.call && client.latest.state === 'ended' && client.latest.endReason === wanted,
      endReason,
    );

  test(
    'rings, carries media both ways, shows what the other does, and ends for both',
    async () => {
      const [caller, callee] = await call();
      await caller.click('audio');
      await callee.sees(ada, { audio: false });
      await callee.click('hand');
      await caller.sees(bruno, { hand: true });

      // The generated camera has 640 columns, the generated screen 1280.
      const playsColumns = (columns: number) =>
        callee.until((_client, wanted) => {
          const video = (globalThis as any).document.querySelector('#others video');
          return video.videoWidth === wanted && !video.paused;
        }, columns);
      await caller.click('screen');
      await callee.sees(ada, { screen: true });
      await playsColumns(1280);
      await caller.click('screen');
      await callee.sees(ada, { screen: false });
      await playsColumns(640);

      // The first measurement is what the second one is compared with.
      await caller.evaluate((client) => client.reportQuality());
      await bothReceive(caller, callee);
      await caller.evaluate((client) => client.reportQuality());
      const callId: string = await caller.evaluate((client) => client.call.id);
      await callee.click('hangUp');
      await Promise.all([hasEnded(caller, 'hung_up'), hasEnded(callee, 'hung_up')]);
      const { body } = await server.api.get(`/api/admin/video-calls/${callId}/quality`, root.token);
      expect(body.quality).toMatchObject([{ reporterId: ada.id, userId: bruno.id, reports: 1 }]);
      expect(body.quality[0].bitrateKbps.last).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test(
    'of three connects each with each, and goes on without the one whose tab is killed',
    async () => {
      const { channelId } = await createRoom(server.api, ada, [bruno, cleo]);
      const [first, second, third] = await Promise.all([
        pages.open(ada),
        pages.open(bruno),
        pages.open(cleo),
      ]);
      await first.page.fill('#channel', channelId);
      await first.click('call');
      for (const page of [second, third]) await page.page.click('#calls button');
      await Promise.all([first, second, third].map((page) => page.receives(2)));

      await pages.crash(third);
      const others = [first, second];
      await Promise.all(others.map((page) => page.sees(cleo, { state: 'joined', connected: false })));
      await clock.advance(GRACE_MS);
      await Promise.all(others.map((page) => page.sees(cleo, { state: 'left' })));
      await bothReceive(first, second);
    },
    TIMEOUT_MS,
  );

  test(
    'survives a restart of the server, a reload and a second registration, and ends when the tab is killed',
    async () => {
      const [caller, callee] = await call();
      const both = [caller, callee];
      const connections = await Promise.all(
        both.map(({ page }) => page.evaluateHandle('parley.mesh.connections[0]')),
      );
      await server.restart();
      await Promise.all(both.map(isRegistered));
      await Promise.all([caller.sees(bruno, { connected: true }), callee.sees(ada, { connected: true })]);

      await bothReceive(caller, callee);
      for (const connection of connections) {
        expect(
          await connection.evaluate((first) => first === (globalThis as any).parley.mesh.connections[0]),
        ).toBe(true);
      }

      await callee.click('audio');
      await caller.sees(bruno, { audio: false });
      const peerId = await callee.evaluate(({ mesh }) => mesh.peerId);
      await callee.page.reload();
      await caller.until(
        ({ call }, old) => call.participants.every((one: { peerId: string }) => one.peerId !== old),
        peerId,
      );
      await bothReceive(caller, callee);
      expect(await callee.evaluate(({ media }) => media.stream.getAudioTracks()[0].enabled)).toBe(false);
      await caller.sees(bruno, { audio: false });

      // The newer connection with a peer id replaces the older one, whose page stops.
      await callee.registerTwice();
      await callee.until((client) => !client.call);
      await caller.sees(bruno, { state: 'joined', connected: true });

      await pages.crash(callee);
      await caller.sees(bruno, { state: 'joined', connected: false });
      await clock.advance(GRACE_MS);
      await hasEnded(caller, 'connection_lost');
    },
    TIMEOUT_MS,
  );

  (HAS_COTURN ? test : test.skip)(
    'goes through the TURN relay alone when the browsers allow nothing else',
    async () => {
      const received = await bothReceive(...(await call({ relay: 'true' })));
      expect(received.flat().map(({ candidate }) => candidate)).toEqual(['relay', 'relay']);
    },
    TIMEOUT_MS,
  );

  (HAS_REDIS ? test : test.skip)(
    'carries media between two nodes, goes on when a page is reloaded, and ends on both',
    async () => {
      const other = await startTestServer(settings(), { beside: server, clock });
      try {
        const [caller, callee] = await call({}, { server: other.url });
        const _id = new ObjectId(await caller.evaluate((client) => client.call.id as string));
        const stored = await server.context.database.collections.videoCalls.findOne({ _id });
        const connections = stored!.participants.map(({ connection }) => [
          connection?.kind,
          connection?.nodeId,
        ]);
        expect(connections).toEqual([
          ['peer', server.context.nodes.id],
          ['peer', other.context.nodes.id],
        ]);
        await caller.click('audio');
        await callee.sees(ada, { audio: false });
        await callee.page.reload();
        await isRegistered(callee);
        await bothReceive(caller, callee);
        await callee.click('hangUp');
        await Promise.all([hasEnded(caller, 'hung_up'), hasEnded(callee, 'hung_up')]);
      } finally {
        await other.close();
      }
    },
    TIMEOUT_MS,
  );
});
