/**
 * Two clients chat while their server is killed twice. It shows that no acknowledged message is lost, none is stored
 * twice, and both clients end with the same history in the same order.
 *
 *   npm run demo
 *
 * Exits with 1 unless lost, duplicated and out of order are all 0.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Message } from '../src/models/message.model';
import { Chatter } from './demo/chatter';
import { ServerProcess } from './demo/server-process';
import { call, type Session } from './demo/rest';

const MESSAGES_EACH = 1000;
/** The server is killed after these numbers of acknowledged messages. */
const KILL_AT = [600, 1300];

async function main(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-demo-'));
  const server = new ServerProcess(dataDir);
  const chatters: Chatter[] = [];
  try {
    await server.start();
    console.log(`Server (pid ${server.pid}) on ${server.url}, data in ${dataDir}`);
    const { sessions, channelId } = await createRoom(server.url);
    chatters.push(...sessions.map((session) => new Chatter(session, server.url, channelId)));
    await Promise.all(chatters.map((chatter) => chatter.connect()));

    const started = Date.now();
    const talk = Promise.all(chatters.map((chatter) => chatter.send(MESSAGES_EACH)));
    for (const threshold of KILL_AT) {
      await reached(chatters, threshold);
      const { pid } = server;
      await server.kill();
      console.log(`SIGKILL to pid ${pid} after ${countAcknowledged(chatters)} acknowledgements`);
      await server.start();
      console.log(`Started again as pid ${server.pid}`);
    }
    await talk;
    const seconds = (Date.now() - started) / 1000;
    const history = await readHistory(server.url, sessions[0].token, channelId);
    await Promise.all(chatters.map((chatter) => chatter.sees(history.length)));
    process.exitCode = report(chatters, history, seconds) ? 0 : 1;
  } finally {
    for (const chatter of chatters) chatter.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function createRoom(url: string): Promise<{ sessions: [Session, Session]; channelId: string }> {
  const ada = await signUp(url, 'ada');
  const bruno = await signUp(url, 'bruno');
  const { group } = await call<{ group: { id: string } }>(url, 'POST', '/api/groups', ada.token, {
    name: 'Demo',
    visibility: 'private',
  });
  await call(url, 'POST', `/api/groups/${group.id}/members`, ada.token, { userId: bruno.userId });
  const { channel } = await call<{ channel: { id: string } }>(url, 'POST', '/api/channels', ada.token, {
    groupId: group.id,
    name: 'general',
  });
  return { sessions: [ada, bruno], channelId: channel.id };
}

async function signUp(url: string, username: string): Promise<Session> {
  const account = { username, email: `${username}@example.org`, password: 'demo password' };
  const { user, accessToken } = await call<{ user: { id: string }; accessToken: string }>(
    url,
    'POST',
    '/api/auth/register',
    undefined,
    account,
  );
  return { username, userId: user.id, token: accessToken };
}

const countAcknowledged = (chatters: Chatter[]) =>
  chatters.reduce((sum, chatter) => sum + chatter.acknowledged.size, 0);

async function reached(chatters: Chatter[], count: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const check = () => {
      if (countAcknowledged(chatters) >= count) resolve();
    };
    for (const chatter of chatters) chatter.onAcknowledged = check;
    check();
  });
}

async function readHistory(url: string, token: string, channelId: string): Promise<Message[]> {
  const history: Message[] = [];
  for (let after: number | null = 0; after !== null;) {
    const page: { messages: Message[]; nextCursor: number | null } = await call(
      url,
      'GET',
      `/api/channels/${channelId}/messages?limit=200&after=${after}`,
      token,
    );
    history.push(...page.messages);
    after = page.nextCursor;
  }
  return history;
}

/** Prints the results. @returns whether no message is lost, duplicated or out of order. */
function report(chatters: Chatter[], history: Message[], seconds: number): boolean {
  const ids = history.map(({ id }) => id);
  const rows = chatters.map((chatter) => {
    const mine = history.filter(({ senderId }) => senderId === chatter.session.userId);
    const stored = new Map(mine.map((message) => [message.clientMessageId, message]));
    const lost = [...chatter.acknowledged].filter(([key, id]) => stored.get(key)?.id !== id).length;
    return {
      person: chatter.session.username,
      sent: chatter.sent,
      'sent again': chatter.sentAgain,
      acknowledged: chatter.acknowledged.size,
      stored: stored.size,
      lost,
      duplicated: mine.length - stored.size,
      'out of order': countDisorder(mine.map(({ clientMessageId }) => Number(clientMessageId.split('-')[1]))),
      'view = history': sameIds(chatter.view(), ids) ? 'yes' : 'NO',
    };
  });
  const disorder = countDisorder(history.map(({ seq }) => seq));
  console.table(rows);
  console.log(`${history.length} messages in ${seconds.toFixed(1)} s; history out of order: ${disorder}`);
  return (
    disorder === 0 &&
    rows.every(
      (row) =>
        row.sent === MESSAGES_EACH &&
        row.acknowledged === MESSAGES_EACH &&
        row.stored === MESSAGES_EACH &&
        row.lost === 0 &&
        row.duplicated === 0 &&
        row['out of order'] === 0 &&
        row['view = history'] === 'yes',
    )
  );
}

/** Returns how many numbers are not greater than their predecessor. */
function countDisorder(numbers: number[]): number {
  return numbers.filter((number, index) => index > 0 && number <= (numbers[index - 1] ?? 0)).length;
}

function sameIds(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

void main();
