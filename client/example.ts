/**
 * A chat on the terminal: it shows the messages of a channel, and sends each line that is typed.
 *
 *     npx ts-node --transpile-only client/example.ts http://localhost:3000 <access token> <channel id>
 */
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';
import { ChatClient, type Reader } from './chat-client';
import type { Message } from './types';

const [url, token, channelId] = process.argv.slice(2) as [string, string, string];

async function get<Body>(path: string): Promise<Body> {
  const response = await fetch(new URL(path, url), { headers: { Authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return (await response.json()) as Body;
}

const reader: Reader = {
  history: (id, before) =>
    get(`/api/channels/${id}/messages?limit=20${before === undefined ? '' : `&before=${before}`}`),
  members: () => Promise.resolve([]),
};

/** Returns the text of a message and the names of its files. */
function textOf(message: Message): string {
  if (message.deletedAt !== null) return '(deleted)';
  const { body, attachments } = message as Message & { body: string; attachments: { name: string }[] };
  return [body, ...attachments.map(({ name }) => `[${name}]`)].join(' ').trim();
}

async function main(): Promise<void> {
  const { user } = await get<{ user: { id: string } }>('/api/auth/me');
  const socket = io(url, { auth: { token } });
  const shown = new Map<string, number>();
  const client = new ChatClient(socket, reader, user.id, () => {
    const channel = client.state.channels.get(channelId);
    if (channel && !channel.messages && channel.loading === 0) void client.loadHistory(channelId);
    for (const message of channel?.messages ?? []) {
      if ((shown.get(message.id) ?? 0) >= message.revision) continue;
      shown.set(message.id, message.revision);
      process.stdout.write(`${message.seq}. ${textOf(message)}\n`);
    }
  });
  createInterface({ input: process.stdin })
    .on('line', (body) => client.send(channelId, { body }))
    .on('close', () => socket.disconnect());
}

void main();
