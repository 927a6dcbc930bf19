import { randomUUID } from 'node:crypto';
import type { Message } from '../../../models/message.model';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let owner: Person;
let guest: Person;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ({ owner, guest } = await signUpAll(server.api, 'owner', 'guest'));
});
beforeEach(async () => {
  ({ channelId } = await createRoom(server.api, owner, [guest]));
});
afterAll(() => server.close());

const post = (input: object, by = guest, channel = channelId) =>
  server.api.post(`/api/channels/${channel}/messages`, input, by.token);
const send = async (body: string, by = guest): Promise<Message> => {
  const answer = await post({ clientMessageId: randomUUID(), body }, by);
  expect(answer.status).toBe(201);
  return answer.body.message;
};
const edit = (id: string, body: string, by = guest) =>
  server.api.patch(`/api/messages/${id}`, { body }, by.token);
const remove = (id: string, by = guest) => server.api.delete(`/api/messages/${id}`, by.token);
const history = async (limit = 200): Promise<Message[]> =>
  (await server.api.get(`/api/channels/${channelId}/messages`, owner.token, { limit })).body.messages;
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });
const oneTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('sending a message', () => {
  it('returns the message, which every reader of the channel then finds', async () => {
    const { status, body } = await post({ clientMessageId: 'first', body: 'hello' });
    expect(status).toBe(201);
    expect(body.message).toEqual({
      id: expect.any(String),
      channelId,
      seq: 1,
      revision: 1,
      senderId: guest.id,
      clientMessageId: 'first',
      body: 'hello',
      attachments: [],
      createdAt: expect.any(String),
      editedAt: null,
      deletedAt: null,
      threadId: null,
      replyCount: 0,
      lastReplyAt: null,
      replyToId: null,
      mentionIds: [],
      mentionsEveryone: null,
      reactions: [],
      pinnedAt: null,
      pinnedBy: null,
      forwardedFrom: null,
      call: null,
      linkPreviews: [],
    });
    expect(await history()).toEqual([body.message]);
    const { body: channel } = await server.api.get(`/api/channels/${channelId}`, owner.token);
    expect(channel.channel).toMatchObject({ seq: 1, revision: 1 });
  });

  it.each([
    ' kept \n as it is \t',
    '👩‍👩‍👧‍👦 Zoë Cafe\u0301 שלום',
    '{"$gt": ""} <script>alert(1)</script>',
    '__proto__',
    'x'.repeat(8000),
  ])('preserves every character of %j', async (text) => {
    await send(text);
    expect((await history())[0]!.body).toBe(text);
  });

  it.each<[string, object]>([
    ['no text', { body: undefined }],
    ['empty text', { body: '' }],
    ['blank text', { body: ' \n\t\u00a0' }],
    ['8001 characters', { body: 'x'.repeat(8001) }],
    ['a control character', { body: 'a\0b' }],
    ['a lone surrogate', { body: 'a\ud83d' }],
    ['a number', { body: 7 }],
    ['no clientMessageId', { clientMessageId: undefined }],
    ['an empty clientMessageId', { clientMessageId: '' }],
    ['a clientMessageId of 129 characters', { clientMessageId: 'x'.repeat(129) }],
    ['a clientMessageId with a space', { clientMessageId: 'a b' }],
    ['an operator as clientMessageId', { clientMessageId: { $ne: '' } }],
    ['a sender', { senderId: '0'.repeat(24) }],
    ['a seq', { seq: 1 }],
  ])('refuses %s', async (_, wrong) => {
    const answer = await post({ clientMessageId: randomUUID(), body: 'hello', ...wrong });
    expect(answer).toMatchObject(refused(400, 'validation_failed'));
    expect(await history()).toEqual([]);
  });
});

describe('sending a message again', () => {
  const input = { clientMessageId: 'again', body: 'hello' };

  it('returns the first one and changes nothing', async () => {
    const sender = await signUp(server.api);
    ({ channelId } = await createRoom(server.api, owner, [sender]));
    const first = await post(input, sender);
    await send('in between', owner);
    const second = await post(input, sender);
    expect([first.status, second.status]).toEqual([201, 200]);
    expect(second.body).toEqual(first.body);
    expect(await history()).toHaveLength(2);
  });

  it('with another text or in another channel is refused', async () => {
    const sender = await signUp(server.api);
    const elsewhere = await createRoom(server.api, owner, [sender]);
    ({ channelId } = await createRoom(server.api, owner, [sender]));
    await post(input, sender);
    for (const answer of [
      await post({ ...input, body: 'hello!' }, sender),
      await post(input, sender, elsewhere.channelId),
    ]) {
      expect(answer).toMatchObject(refused(422, 'client_message_id_reused'));
    }
    expect(await history()).toHaveLength(1);
    // The id is scoped to the sender: another user may use the same.
    expect((await post({ ...input, body: 'mine' }, owner)).status).toBe(201);
  });

  it('after it was edited or deleted returns its current state', async () => {
    const sender = await signUp(server.api);
    ({ channelId } = await createRoom(server.api, owner, [sender]));
    const { id } = (await post(input, sender)).body.message;
    const edited = await edit(id, 'better', sender);
    expect(await post(input, sender)).toMatchObject({ status: 200, body: edited.body });
    const deleted = await remove(id, sender);
    expect(await post(input, sender)).toMatchObject({ status: 200, body: deleted.body });
    // The edited text differs from the text that was sent.
    const other = await post({ ...input, body: 'better' }, sender);
    expect(other).toMatchObject(refused(422, 'client_message_id_reused'));
  });

  it('many times at once creates one message', async () => {
    const id = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post({ clientMessageId: id, body: 'once' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(19).fill(200), 201]);
    expect(new Set(answers.map(({ body }) => body.message.id)).size).toBe(1);
    expect(await history()).toHaveLength(1);
    expect((await send('next')).seq).toBe(2);
  });

  it('with different texts at once creates one of them', async () => {
    const id = randomUUID();
    const answers = await Promise.all(
      oneTo(10).map((index) => post({ clientMessageId: id, body: `text ${index}` })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(9).fill(422)]);
    expect(await history()).toHaveLength(1);
  });

  it('to two channels at once creates it in one of them', async () => {
    const other = await createRoom(server.api, owner, [guest]);
    const inputs = { clientMessageId: randomUUID(), body: 'where' };
    const answers = await Promise.all([post(inputs), post(inputs, guest, other.channelId)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422]);
  });
});

describe('many concurrent sends', () => {
  it('get consecutive seqs from 1, in the order of each sender', async () => {
    const people = [owner, guest, ...(await Promise.all(oneTo(3).map(() => signUp(server.api))))];
    ({ channelId } = await createRoom(server.api, owner, people.slice(1)));
    const sent = await Promise.all(
      people.map(async (person) => {
        const own: Message[] = [];
        // In pairs, so that the sends of one sender overlap, too.
        for (let pair = 0; pair < 10; pair++) {
          own.push(...(await Promise.all([send(`${pair} a`, person), send(`${pair} b`, person)])));
        }
        return own;
      }),
    );
    const stored = (await history()).reverse();
    expect(stored.map(({ seq }) => seq)).toEqual(oneTo(100));
    expect(stored.map(({ revision }) => revision)).toEqual(oneTo(100));
    expect(sent.flat().sort((a, b) => a.seq - b.seq)).toEqual(stored);
    for (const own of sent) {
      const pairs = own.map(({ seq }, index) => ({ seq, pair: Math.floor(index / 2) }));
      expect(pairs.sort((a, b) => a.seq - b.seq).map(({ pair }) => pair)).toEqual(
        oneTo(20).map((place) => Math.floor((place - 1) / 2)),
      );
    }
  });
});

describe('editing a message', () => {
  it('changes its text and takes the next revision; its seq stays', async () => {
    const first = await send('helo');
    await send('second');
    const { status, body } = await edit(first.id, 'hello');
    expect(status).toBe(200);
    expect(body.message).toEqual({ ...first, body: 'hello', revision: 3, editedAt: expect.any(String) });
    expect((await history()).at(-1)).toEqual(body.message);
    // The same text again is not a change.
    expect((await edit(first.id, 'hello')).body).toEqual(body);
    expect((await send('third')).revision).toBe(4);
  });

  it('is permitted to its author only, whatever role others have', async () => {
    const { id } = await send('mine');
    expect(await edit(id, 'yours', owner)).toMatchObject(refused(403, 'forbidden'));
    expect((await history())[0]!.body).toBe('mine');
  });

  it.each([{}, { body: '' }, { body: 'x', seq: 1 }, { body: { $set: 1 } }, []])(
    'refuses %j',
    async (input) => {
      const { id } = await send('text');
      const answer = await server.api.patch(`/api/messages/${id}`, input, guest.token);
      expect(answer).toMatchObject(refused(400, 'validation_failed'));
    },
  );

  it('many times at once gives each change a revision of its own', async () => {
    const { id } = await send('0');
    const answers = await Promise.all(oneTo(10).map((index) => edit(id, `version ${index}`)));
    const revisions = answers.map(({ body }) => body.message.revision).sort((a, b) => a - b);
    expect(revisions).toEqual(oneTo(10).map((index) => index + 1));
    const last = answers.find(({ body }) => body.message.revision === 11)!;
    expect(await history()).toEqual([last.body.message]);
  });
});

describe('a text that is slow to scan', () => {
  const hostile = `http://a${'.'.repeat(5_300)}${')'.repeat(2_690)}`;
  const ordinary = `http://a/${'b'.repeat(hostile.length - 9)}`;

  it('delays nobody when it is sent or edited in', async () => {
    const { id } = await send('text');
    // The fastest of three, in milliseconds, including a call of another user at the same time.
    const fastest = async (call: (body: string) => Promise<{ status: number }>, body: string) => {
      let least = Infinity;
      for (const again of ['1', '2', '3']) {
        const start = performance.now();
        const [{ status }] = await Promise.all([call(`${again} ${body}`), history()]);
        least = Math.min(least, performance.now() - start);
        expect(status).toBeLessThan(300);
      }
      return least;
    };
    const calls = [
      (body: string) => post({ clientMessageId: randomUUID(), body }),
      (body: string) => edit(id, body),
    ];
    for (const call of calls) {
      const usual = await fastest(call, ordinary);
      expect(await fastest(call, hostile)).toBeLessThan(20 * usual);
    }
  });
});

describe('deleting a message', () => {
  it('removes its text and keeps its seq, once', async () => {
    const first = await send('secret');
    const { status, body } = await remove(first.id);
    expect(status).toBe(200);
    expect(body.message).toEqual({ ...first, body: '', revision: 2, deletedAt: expect.any(String) });
    expect(await history()).toEqual([body.message]);
    expect((await remove(first.id)).body).toEqual(body);
    expect(await edit(first.id, 'back')).toMatchObject(refused(409, 'message_deleted'));
    expect(JSON.stringify(await server.context.database.collections.messages.find().toArray())).not.toContain(
      'secret',
    );
  });

  it('is permitted to its author and to moderators, and prevents later edits', async () => {
    const [mine, theirs] = [await send('mine'), await send('theirs', owner)];
    expect(await remove(theirs.id, guest)).toMatchObject(refused(403, 'forbidden'));
    expect((await remove(mine.id, owner)).status).toBe(200);
  });
});
