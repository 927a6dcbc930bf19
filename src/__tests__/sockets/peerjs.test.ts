import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { ServerProcess } from '../../../bench/demo/server-process';
import { createApi, type Api } from '../fixtures/api';
import { createRoom, signUp } from '../fixtures/people';
import { connect } from '../fixtures/sockets';

let dataDir: string;
let server: ServerProcess;
let api: Api;

/** A raw PeerJS client, which speaks the protocol of https://github.com/peers/peerjs-server. */
class Peer {
  readonly received: any[] = [];
  private readonly socket: WebSocket;
  private check: () => void = () => {};
  private fail: (error: Error) => void = () => {};

  constructor(readonly id: string) {
    const query = new URLSearchParams({ key: 'peerjs', id, token: `token of ${id}`, version: '1.5.4' });
    this.socket = new WebSocket(`${server.url.replace('http', 'ws')}/peerjs/peerjs?${query.toString()}`);
    this.socket.on('message', (data: Buffer) => {
      this.received.push(JSON.parse(data.toString()));
      this.check();
    });
    this.socket.on('close', () => this.fail(new Error(`${id} was closed`)));
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  receives(matches: (message: any) => boolean): Promise<any> {
    return new Promise((resolve, reject) => {
      this.fail = reject;
      this.check = () => {
        const found = this.received.find(matches);
        if (found) resolve(found);
      };
      this.check();
    });
  }

  async close(): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    this.socket.close();
    await once(this.socket, 'close');
  }
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'parley-test-'));
  server = new ServerProcess(dataDir);
  await server.start();
  api = await createApi(server.url);
});
afterAll(async () => {
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test('Socket.IO and PeerJS hold their WebSockets side by side while both are used', async () => {
  const [ada, bruno] = [await signUp(api, 'ada'), await signUp(api, 'bruno')];
  const { channelId } = await createRoom(api, ada, [bruno]);
  const webSocketOnly = { transports: ['websocket'], reconnection: false };
  const chat = [
    await connect(server.url, ada.token, webSocketOnly),
    await connect(server.url, bruno.token, webSocketOnly),
  ];
  const peers = [new Peer('peer-ada'), new Peer('peer-bruno')] as const;
  await Promise.all(peers.map((peer) => peer.receives(({ type }) => type === 'OPEN')));

  // engine.io used to end upgrades that it does not know after one second: talk for longer than that.
  const started = performance.now();
  let round = 0;
  while (performance.now() - started < 2500) {
    round++;
    const clientMessageId = `round-${round}`;
    const offer = { type: 'OFFER', dst: 'peer-bruno', payload: { sdp: `v=0 round ${round}` } };
    peers[0].send(offer);
    const [sent, offered] = await Promise.all([
      chat[0]!.ask('message:send', { channelId, clientMessageId, body: `Round ${round}` }),
      peers[1].receives(({ type, payload }) => type === 'OFFER' && payload.sdp === `v=0 round ${round}`),
      chat[1]!.hears(({ message }) => message.clientMessageId === clientMessageId),
    ]);
    expect(sent.ok).toBe(true);
    expect(offered.src).toBe('peer-ada');
  }
  expect(round).toBeGreaterThan(2);
  expect(peers.map((peer) => peer.isOpen)).toEqual([true, true]);
  expect(chat.map(({ socket }) => socket.connected)).toEqual([true, true]);
  expect(chat[1]!.heard).toHaveLength(round);

  for (const client of chat) client.close();
  await Promise.all(peers.map((peer) => peer.close()));
});

test('a foreign token cannot take a peer id that is in use', async () => {
  const [first, second] = [new Peer('wanted'), new Peer('wanted')];
  await Promise.all([first.receives(({ type }) => type === 'OPEN')]);
  const query = new URLSearchParams({ key: 'peerjs', id: 'wanted', token: 'another' });
  const thief = new WebSocket(`${server.url.replace('http', 'ws')}/peerjs/peerjs?${query.toString()}`);
  const [data] = (await once(thief, 'message')) as [Buffer];
  expect(JSON.parse(data.toString())).toMatchObject({ type: 'ID-TAKEN' });
  await Promise.all([first.close(), second.close()]);
});

test.each([
  'null',
  '{',
  '[]',
  '7',
  '{"type":"OFFER"}',
  '{"type":"__proto__"}',
  '{"type":"OFFER","dst":{"a":1}}',
])('a peer that sends %s does no harm', async (message) => {
  const peer = new Peer('hostile');
  await peer.receives(({ type }) => type === 'OPEN');
  peer.send(message);
  peer.send({ type: 'OFFER', dst: 'hostile', payload: 'still there' });
  await peer.receives(({ type }) => type === 'OFFER');
  expect((await api.get('/health/live')).status).toBe(200);
  await peer.close();
});

test('the HTTP side gives out ids and does not list peers', async () => {
  const id = await fetch(`${server.url}/peerjs/peerjs/id`);
  expect(await id.text()).toMatch(/^[0-9a-f-]{36}$/);
  expect((await fetch(`${server.url}/peerjs/peerjs/peers`)).status).toBe(401);
});
