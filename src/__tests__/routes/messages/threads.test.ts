import type { Message } from '../../../models/message.model';
import { sendMessage } from '../../fixtures/messages';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
});
afterAll(() => server.close());

const put = (path: string, by: Person, body?: object) =>
  server.api.call('put', path, { token: by.token, ...(body && { body }) });

describe('the list of threads', () => {
  const threadsOf = async (person: Person, query: object = {}) => {
    const { body } = await server.api.get('/api/client/threads', person.token, { ...query });
    return body;
  };
  const shown = ({ threads }: any) =>
    threads.map(({ root, unread, mentions }: any) => [root.body, unread, mentions]);
  const person = async (name: string) => signUp(server.api, name);

  test('contains followed threads, the latest first, with unread replies of others that are not deleted', async () => {
    const [tara, theo] = [await person('tara'), await person('theo')];
    const { channelId } = await createRoom(server.api, tara, [theo]);
    const roots: Message[] = [];
    for (const name of ['One', 'Two', 'Three'])
      roots.push(await sendMessage(server.api, channelId, tara, name));
    const reply = (root: number, by: Person, text = 'Reply') =>
      sendMessage(server.api, channelId, by, text, { threadId: roots[root]!.id });
    const first = await reply(0, theo);
    await reply(1, theo, `For @${tara.username}`);
    const deleted = await reply(1, theo);
    await server.api.delete(`/api/messages/${deleted.id}`, theo.token);
    await reply(1, theo, `@${tara.username} and @${theo.username}`);
    await reply(2, theo);
    await reply(2, tara);
    expect(shown(await threadsOf(tara))).toEqual([
      ['Three', 0, 0],
      ['Two', 2, 2],
      ['One', 1, 0],
    ]);
    expect(shown(await threadsOf(theo))).toEqual([
      ['Three', 1, 0],
      ['Two', 0, 0],
      ['One', 0, 0],
    ]);
    // A reply moves its thread to the top, and pages continue where the previous one ended.
    await reply(0, theo);
    const page = await threadsOf(tara, { limit: 2 });
    expect(shown(page)).toEqual([
      ['One', 2, 0],
      ['Three', 0, 0],
    ]);
    const rest = await threadsOf(tara, { limit: 2, cursor: page.nextCursor });
    expect([shown(rest), rest.nextCursor]).toEqual([[['Two', 2, 2]], null]);

    const device = await connect(server.url, tara.token);
    const read = await put(`/api/messages/${first.id}/thread-read`, tara, { seq: first.seq });
    expect(read.body.thread).toMatchObject({ threadId: roots[0]!.id, following: true, readSeq: first.seq });
    expect((await device.waitFor('thread:updated')).thread).toEqual(read.body.thread);
    expect(shown(await threadsOf(tara))[0]).toEqual(['One', 1, 0]);
    // A marker that is too old or in the future moves neither back nor beyond the newest reply.
    await put(`/api/messages/${roots[0]!.id}/thread-read`, tara, { seq: 1 });
    expect(shown(await threadsOf(tara))[0]).toEqual(['One', 1, 0]);
    const ahead = await device.ask('thread:mark_read', { messageId: roots[0]!.id, seq: 1e9 });
    await reply(0, theo, 'After that');
    device.close();
    expect(ahead).toMatchObject({ ok: true });
    expect(shown(await threadsOf(tara))[0]).toEqual(['One', 1, 0]);
  });

  test('contains no thread that the user has left or may not read any more', async () => {
    const [tom, tim] = [await person('tom'), await person('tim')];
    const { groupId, channelId } = await createRoom(server.api, tom, [tim]);
    const roots = [
      await sendMessage(server.api, channelId, tom, 'One'),
      await sendMessage(server.api, channelId, tom, 'Two'),
    ];
    for (const { id } of roots) await put(`/api/messages/${id}/follow`, tim);
    expect(shown(await threadsOf(tim))).toEqual([
      ['Two', 0, 0],
      ['One', 0, 0],
    ]);
    await server.api.delete(`/api/messages/${roots[1]!.id}/follow`, tim.token);
    // Reading a thread does not follow it.
    await put(`/api/messages/${roots[1]!.id}/thread-read`, tim, { seq: 1 });
    expect(shown(await threadsOf(tim))).toEqual([['One', 0, 0]]);
    await server.api.delete(`/api/groups/${groupId}/members/${tim.id}`, tom.token);
    expect(shown(await threadsOf(tim))).toEqual([]);
  });

  test('refuses a malformed cursor', async () => {
    const { body } = await server.api.get('/api/client/threads', (await person('tess')).token, {
      cursor: 'f'.repeat(24),
    });
    expect(body.error.code).toBe('validation_failed');
  });
});
