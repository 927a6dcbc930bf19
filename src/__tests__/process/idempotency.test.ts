import { randomUUID } from 'node:crypto';
import { SeededRandom } from '../../utils/random';
import { createApi, type Answer, type Api } from '../fixtures/api';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';
import { connect } from '../fixtures/sockets';

afterAll(cleanUp);

/** The number of writes of each kind. */
const COUNT = 40;

/** A write with its key, and its answer once there is one. */
interface Write {
  method: 'post' | 'patch';
  path: string;
  body: object;
  key: string;
  answer?: Answer;
}

const call = (api: Api, { method, path, body, key }: Write, { token }: Person) =>
  api.call(method, path, { body, token, headers: { 'Idempotency-Key': key } });

const isReplayed = ({ headers }: Answer) => headers['idempotency-replayed'] === 'true';

describe('kill -9', () => {
  test.concurrent(
    'between a write and its answer: the retry receives the answer',
    async () => {
      const folder = await temporaryFolder();
      const server = await spawnServer({ DATA_DIR: folder });
      const url = await server.listening();
      const api = await createApi(url);
      const ada = await signUp(api, 'ada');
      const { socket } = await connect(url, ada.token, { reconnection: false });
      const body = { name: 'Workshop', visibility: 'private' };
      const write: Write = { method: 'post', path: '/api/groups', body, key: randomUUID() };

      const received = new Promise<{ group: { id: string } }>((resolve) =>
        socket.once('group:added', resolve),
      );
      const lost = call(api, write, ada).catch(() => undefined);
      // The event arrives after the commit, and the answer after the event.
      const { group } = await received;
      await server.end('SIGKILL');
      await lost;
      socket.close();

      const again = await spawnServer({ DATA_DIR: folder });
      const after = await createApi(await again.listening());
      const retry = await call(after, write, ada);
      expect([retry.status, isReplayed(retry)]).toEqual([201, true]);
      expect(retry.body.group).toMatchObject({ id: group.id, name: 'Workshop' });
      expect((await after.get('/api/groups', ada.token)).body.groups).toHaveLength(1);
      await again.end('SIGTERM');
    },
    120_000,
  );

  test.concurrent(
    'at any moment: each write that is retried until it is answered takes effect once',
    async () => {
      const random = new SeededRandom(20261124);
      const folder = await temporaryFolder();
      let server = await spawnServer({ DATA_DIR: folder });
      let api = await createApi(await server.listening());
      const ada = await signUp(api, 'ada');
      const { groupId, channelId } = await createRoom(api, ada);
      const sent = await api.post(
        `/api/channels/${channelId}/messages`,
        { clientMessageId: 'first', body: 'Hello' },
        ada.token,
      );
      const messageId: string = sent.body.message.id;
      const edits = Array.from({ length: COUNT }, (_, index): Write => ({
        method: 'patch',
        path: `/api/messages/${messageId}`,
        body: { body: `Edit ${index}` },
        key: `edit-${index}`,
      }));
      const channels = Array.from({ length: COUNT }, (_, index): Write => ({
        method: 'post',
        path: '/api/channels',
        body: { groupId, name: `channel ${index}` },
        key: `channel-${index}`,
      }));
      const groups = Array.from({ length: COUNT }, (_, index): Write => ({
        method: 'post',
        path: '/api/groups',
        body: { name: `group ${index}`, visibility: 'public' },
        key: `group-${index}`,
      }));
      const writes = edits.flatMap((edit, index) => [edit, channels[index]!, groups[index]!]);

      for (let round = 0; round < 3; round++) {
        const waiting = writes.filter(({ answer }) => !answer);
        let left = random.between(10, 25);
        const retryUntilAnswered = async () => {
          for (let write = waiting.shift(); write; write = waiting.shift()) {
            write.answer = await call(api, write, ada);
            if (--left === 0) server.signal('SIGKILL');
          }
        };
        const lines = await Promise.allSettled(Array.from({ length: 12 }, retryUntilAnswered));
        for (const each of lines) {
          // Senders stop because the connection is closed, never because of a wrong answer.
          if (each.status === 'rejected')
            expect((each.reason as NodeJS.ErrnoException).code).toMatch(/^(ECONNRESET|ECONNREFUSED|EPIPE)$/);
        }
        await server.exited;
        server = await spawnServer({ DATA_DIR: folder });
        api = await createApi(await server.listening());
      }
      expect(writes.filter(({ answer }) => answer).length).toBeLessThan(writes.length);

      const left = [...writes];
      const retry = async () => {
        for (let write = left.shift(); write; write = left.shift()) {
          const again = await call(api, write, ada);
          expect([write.key, again.status]).toEqual([write.key, write.method === 'patch' ? 200 : 201]);
          if (write.answer) expect([again.body, isReplayed(again)]).toEqual([write.answer.body, true]);
          write.answer = again;
        }
      };
      await Promise.all(Array.from({ length: 12 }, retry));
      // Each edit has taken one revision of the channel, after the one of the message.
      const revisions = edits.map(({ answer }) => answer!.body.message.revision as number);
      expect(revisions.sort((a, b) => a - b)).toEqual(edits.map((_, index) => index + 2));
      const { body: list } = await api.get('/api/channels', ada.token, { groupId, limit: 200 });
      expect(list.channels.map(({ id }: { id: string }) => id).sort()).toEqual(
        [channelId, ...channels.map(({ answer }) => answer!.body.channel.id as string)].sort(),
      );
      const { body: mine } = await api.get('/api/groups', ada.token, { limit: 200 });
      expect(mine.groups.map(({ id }: { id: string }) => id).sort()).toEqual(
        [groupId, ...groups.map(({ answer }) => answer!.body.group.id as string)].sort(),
      );
      expect((await api.get(`/api/groups/${groupId}`, ada.token)).body.group).toMatchObject({
        channelCount: COUNT + 1,
      });
      await server.end('SIGTERM');
    },
    120_000,
  );
});
