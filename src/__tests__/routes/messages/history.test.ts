import type { Message } from '../../../models/message.model';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

const COUNT = 25;

let server: TestServer;
let reader: Person;
let path: string;

beforeAll(async () => {
  server = await startTestServer();
  reader = await signUp(server.api);
  const { groupId, channelId } = await createRoom(server.api, reader);
  path = `/api/channels/${channelId}/messages`;
  const { body } = await server.api.post('/api/channels', { groupId, name: 'other' }, reader.token);
  const other = `/api/channels/${body.channel.id}/messages`;
  // A second channel: its messages must never appear.
  for (let index = 1; index <= COUNT; index++) {
    await server.api.post(path, { clientMessageId: `m${index}`, body: `${index}` }, reader.token);
    await server.api.post(other, { clientMessageId: `o${index}`, body: 'other' }, reader.token);
  }
});
afterAll(() => server.close());

const read = (query: object = {}) => server.api.get(path, reader.token, { ...query });
const page = async (query: object) => {
  const { status, body } = await read(query);
  expect(status).toBe(200);
  return { seqs: body.messages.map(({ seq }: Message) => seq) as number[], nextCursor: body.nextCursor };
};
const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, index) => from - index);
const up = (from: number, to: number) => down(to, from).reverse();

describe('a page of history', () => {
  it.each<[object, number[], number | null]>([
    [{}, down(25, 1), null],
    [{ limit: 10 }, down(25, 16), 16],
    [{ limit: 1 }, [25], 25],
    [{ limit: 25 }, down(25, 1), null],
    [{ limit: 24 }, down(25, 2), 2],
    [{ limit: 200 }, down(25, 1), null],
    [{ before: 16, limit: 10 }, down(15, 6), 6],
    [{ before: 6, limit: 10 }, down(5, 1), null],
    [{ before: 11, limit: 10 }, down(10, 1), null],
    [{ before: 2 }, [1], null],
    [{ before: 1 }, [], null],
    [{ before: 0 }, [], null],
    [{ before: 26, limit: 2 }, [25, 24], 24],
    [{ before: Number.MAX_SAFE_INTEGER, limit: 1 }, [25], 25],
    [{ after: 0, limit: 10 }, up(1, 10), 10],
    [{ after: 10, limit: 15 }, up(11, 25), null],
    [{ after: 10, limit: 14 }, up(11, 24), 24],
    [{ after: 24 }, [25], null],
    [{ after: 25 }, [], null],
    [{ after: Number.MAX_SAFE_INTEGER }, [], null],
  ])('%j', async (query, seqs, nextCursor) => {
    expect(await page(query)).toEqual({ seqs, nextCursor });
  });

  it.each<[string]>([
    ['limit=0'],
    ['limit=201'],
    ['limit=-1'],
    ['limit=1.5'],
    ['limit=1e1'],
    ['limit=0x10'],
    ['limit=ten'],
    ['limit='],
    ['limit=%2010'],
    ['limit=1&limit=2'],
    ['limit[]=1'],
    ['limit[$gt]=1'],
    ['before='],
    ['before=-1'],
    ['before=1.5'],
    ['before=null'],
    ['before=true'],
    ['before=9007199254740992'],
    ['before=Infinity'],
    ['before[$gt]=1'],
    ['after='],
    ['after=one'],
    ['after=-0'],
    ['before=5&after=1'],
    ['before=5&before=6'],
    ['skip=5'],
    ['__proto__=5'],
  ])('is refused for %s', async (query) => {
    const { status, body } = await server.api.get(`${path}?${query}`, reader.token);
    expect([status, body.error?.code]).toEqual([400, 'validation_failed']);
  });
});

describe('reading page after page', () => {
  it.each([1, 4, 5, 24])('of %i messages in both directions returns each message once', async (limit) => {
    for (const [direction, expected] of [
      ['before', down(25, 1)],
      ['after', up(1, 25)],
    ] as const) {
      const seen: number[] = [];
      let cursor: number | null = direction === 'before' ? 1000 : 0;
      while (cursor !== null) {
        const { seqs, nextCursor } = await page({ [direction]: cursor, limit });
        seen.push(...seqs);
        cursor = nextCursor;
      }
      expect(seen).toEqual(expected);
    }
  });

  it('returns no message twice and misses no old one while new ones arrive', async () => {
    const first = await page({ limit: 10 });
    await server.api.post(path, { clientMessageId: 'late', body: 'late' }, reader.token);
    const second = await page({ limit: 10, before: first.nextCursor });
    const third = await page({ limit: 10, before: second.nextCursor });
    expect([...first.seqs, ...second.seqs, ...third.seqs]).toEqual(down(25, 1));
    expect(await page({ after: 25 })).toEqual({ seqs: [26], nextCursor: null });
  });
});
