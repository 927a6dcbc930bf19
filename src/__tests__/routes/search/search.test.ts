import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { PICTURE } from '../../fixtures/images';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { upload } from '../../fixtures/uploads';

let server: TestServer;
let ada: Person;
let bruno: Person;
let chiara: Person;
let groupId: string;
let general: string;
let secret: string;

beforeAll(async () => {
  server = await startTestServer();
  const { api } = server;
  ({ ada, bruno, chiara } = await signUpAll(api, 'ada', 'bruno', 'chiara'));
  ({ groupId, channelId: general } = await createRoom(api, ada, [bruno, chiara]));
  secret = await createChannel('secret', 'private');
  await api.post(`/api/channels/${secret}/members`, { userId: bruno.id }, ada.token);
});
afterAll(() => server.close());

async function createChannel(name: string, visibility = 'public'): Promise<string> {
  const { body } = await server.api.post('/api/channels', { groupId, name, visibility }, ada.token);
  return body.channel.id;
}

async function send(sender: Person, body: string, channelId = general): Promise<any> {
  const path = `/api/channels/${channelId}/messages`;
  const answer = await server.api.post(path, { clientMessageId: randomUUID(), body }, sender.token);
  expect(answer.status).toBe(201);
  return answer.body.message;
}

const search = (person: Person, query: string, more: object = {}) =>
  server.api.get('/api/search/messages', person.token, { query, ...more });

/** The texts of the hits of a search, best first. */
async function find(person: Person, query: string, more: object = {}): Promise<string[]> {
  const { status, body } = await search(person, query, more);
  expect([query, status]).toEqual([query, 200]);
  return body.hits.map((hit: any) => hit.message.body);
}

describe('a search', () => {
  it('finds words, prefixes and phrases, and excludes negated terms', async () => {
    const texts = [
      'The deployment failed on Friday',
      'Redeploy on Monday, failed again',
      'A café in São Paulo',
      '東京の天気はいい',
      'see https://example.org/deploy-guide',
    ];
    for (const text of texts) await send(ada, text);
    const [friday, monday, cafe, tokyo, guide] = texts as [string, string, string, string, string];
    const cases: [string, string[]][] = [
      ['deployment', [friday]],
      ['DEPLOYM', [friday]],
      ['dep', [friday, guide]],
      ['de', []],
      ['deploy', [guide, friday]],
      ['deploy failed', [friday]],
      ['fail', [friday, monday]],
      ['"failed on"', [friday]],
      ['"failed o"', []],
      ['"on failed"', []],
      ['failed -friday', [monday]],
      ['failed -fri', [friday, monday]],
      ['failed -"failed again"', [friday]],
      ['cafe', [cafe]],
      ['CAFÉ sao', [cafe]],
      ['天気', [tokyo]],
      ['東京', [tokyo]],
      ['天', []],
      ['example.org', [guide]],
      ['deploy has:link', [guide]],
      ['has:link', [guide]],
      ['.* failed', [friday, monday]],
      ['[ (deploy', [guide, friday]],
    ];
    for (const [query, expected] of cases) {
      expect([query, (await find(chiara, query)).sort()]).toEqual([query, [...expected].sort()]);
    }
    // A whole word ranks above a prefix.
    expect((await find(chiara, 'deploy'))[0]).toBe(guide);
  });

  it('is narrowed by sender, channel, group, kind and time', async () => {
    const other = await createRoom(server.api, ada, [bruno]);
    const word = `w${randomUUID().slice(0, 8)}`;
    const mine = await send(ada, `${word} of ada`);
    await send(bruno, `${word} of bruno`);
    await send(ada, `${word} elsewhere`, other.channelId);
    await send(ada, `${word} in secret`, secret);
    const newest = [`${word} in secret`, `${word} elsewhere`, `${word} of bruno`, `${word} of ada`];
    const among = (...indexes: number[]) => indexes.map((index) => newest[index]);
    const day = (offset: number) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
    const cases: [string, object, (string | undefined)[]][] = [
      [`${word} from:${bruno.username}`, {}, among(2)],
      [`${word} from:@${bruno.username.toUpperCase()}`, {}, among(2)],
      [`${word} from:me`, {}, among(2)],
      [`${word} from:nobody-at-all`, {}, []],
      [`${word} in:SECRET`, {}, among(0)],
      [`${word} in:#general`, {}, among(1, 2, 3)],
      [`${word} in:${general}`, {}, among(2, 3)],
      [word, { channelId: other.channelId }, among(1)],
      [word, { groupId }, among(0, 2, 3)],
      [word, { kind: 'group' }, newest],
      [word, { kind: 'direct' }, []],
      [`${word} before:${day(1)} after:${day(-1)}`, {}, newest],
      [`${word} before:${day(0)}`, {}, []],
      [`${word} after:${day(0)}`, {}, []],
      [`${word} before:${mine.createdAt}`, {}, []],
      [`${word} has:pin`, {}, []],
      [`${word} has:reactions`, {}, []],
    ];
    for (const [query, more, expected] of cases) {
      const found = await find(bruno, query, more);
      expect([query, found.sort()]).toEqual([query, [...expected].sort()]);
    }
    // Of equally ranked hits the newest comes first.
    const equal = [await send(ada, `${word}2`), await send(ada, `${word}2`), await send(ada, `${word}2`)];
    const { body } = await search(bruno, `${word}2`);
    expect(body.hits.map((hit: any) => hit.message.id)).toEqual(equal.map(({ id }) => id).reverse());
  });

  it('finds messages by the type of their files, as long as they have them', async () => {
    const room = await createRoom(server.api, ada, [bruno]);
    const word = `w${randomUUID().slice(0, 8)}`;
    const say = async (body: string, ...contents: (Buffer | string)[]) => {
      const files = await Promise.all(
        contents.map((content) => upload(server.api, ada, content, 'plan.txt')),
      );
      const input = { clientMessageId: randomUUID(), body, attachmentIds: files.map(({ id }) => id) };
      const { body: answer } = await server.api.post(
        `/api/channels/${room.channelId}/messages`,
        input,
        ada.token,
      );
      return answer.message;
    };
    const [bare, note, picture, both] = ['bare', 'note', 'picture', 'both'].map(
      (name) => `${word} ${name}`,
    ) as [string, string, string, string];
    await say(bare);
    await say(note, 'hello');
    const shown = await say(picture, PICTURE);
    await say(both, PICTURE, 'hello');
    await say('', PICTURE);
    const inRoom = { channelId: room.channelId };
    const cases: [string, string[]][] = [
      ['has:file', [note, picture, both, '']],
      ['has:attachments', [note, picture, both, '']],
      ['has:image', [picture, both, '']],
      ['has:image from:me', []],
      [`has:images from:${ada.username}`, [picture, both, '']],
      [`${word} has:file`, [note, picture, both]],
      [`${word} has:image -both`, [picture]],
      [`${word} has:file has:link`, []],
      // The query applies to the text.
      ['plan has:file', []],
    ];
    const check = async () => {
      for (const [query, expected] of cases) {
        const found = await find(bruno, query, inRoom);
        expect([query, found.sort()]).toEqual([query, [...expected].sort()]);
      }
    };
    await check();
    // An edit keeps the files.
    await server.api.patch(`/api/messages/${shown.id}`, { body: `${word} other` }, ada.token);
    for (const [, expected] of cases) {
      const index = expected.indexOf(picture);
      if (index >= 0) expected[index] = `${word} other`;
    }
    await check();
    await server.api.delete(`/api/messages/${shown.id}`, ada.token);
    expect((await find(bruno, 'has:image', inRoom)).sort()).toEqual(['', both]);
    expect(await find(chiara, 'has:file', inRoom)).toEqual([]);
  });

  it('highlights the words in the original text', async () => {
    const text = '<b>Tested</b> 🎉 the test, "CAFÉ" & <script>alert(1)</script>';
    await send(ada, text);
    const marked = async (query: string) => {
      const { body } = await search(ada, query);
      const { message, highlights } = body.hits[0];
      expect(message.body).toBe(text);
      return highlights.map(({ start, end }: any) => text.slice(start, end));
    };
    expect(await marked('test alert')).toEqual(['Tested', 'test', 'alert']);
    expect(await marked('"the test" cafe')).toEqual(['the', 'test', 'CAFÉ']);
  });

  it('finds the current text of a message, and nothing that was deleted', async () => {
    const message = await send(ada, 'an unrepeatable albatross');
    await server.api.patch(`/api/messages/${message.id}`, { body: 'an unrepeatable pelican' }, ada.token);
    expect(await find(bruno, 'albatross')).toEqual([]);
    expect(await find(bruno, 'pelican')).toEqual(['an unrepeatable pelican']);
    await server.api.delete(`/api/messages/${message.id}`, ada.token);
    for (const query of ['pelican', 'unrepeatable', `from:${ada.username} unrep`]) {
      expect(await find(bruno, query)).toEqual([]);
    }
  });

  it('respects a loss of read access as soon as that call returns', async () => {
    const word = `gone${randomUUID().slice(0, 8)}`;
    await send(ada, word, secret);
    await send(ada, word);
    expect(await find(bruno, word)).toHaveLength(2);
    expect(await find(chiara, word)).toHaveLength(1);
    expect(await find(chiara, word, { channelId: secret })).toEqual([]);
    expect(await find(chiara, `${word} in:${secret}`)).toEqual([]);
    const { body } = await search(bruno, word, { limit: 1 });
    await server.api.delete(`/api/channels/${secret}/members/${bruno.id}`, ada.token);
    expect(await find(bruno, word)).toHaveLength(1);
    expect(await find(bruno, word, { cursor: body.nextCursor })).not.toContain(undefined);
    expect((await search(bruno, word, { channelId: secret })).body.hits).toEqual([]);
    await server.api.delete(`/api/groups/${groupId}/members/${chiara.id}`, ada.token);
    expect(await find(chiara, word)).toEqual([]);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: chiara.id }, ada.token);
    await server.api.post(`/api/channels/${secret}/members`, { userId: bruno.id }, ada.token);
  });

  it.each([
    ['', 'query'],
    ['-word', 'query'],
    ['in:general', 'query'],
    ['word has:wings', 'query'],
    ['word before:yesterday', 'query'],
    ['word before:2026-02-30', 'query'],
    [`${'w '.repeat(21)}`, 'query'],
  ])('refuses %j', async (query, path) => {
    const { status, body } = await search(ada, query);
    expect([status, body.error.code, body.error.details[0].path]).toEqual([400, 'validation_failed', path]);
  });

  it.each(['x', 'W10', Buffer.from('[1,1e300,"0"]').toString('base64url')])(
    'refuses the cursor %j',
    async (cursor) => expect((await search(ada, 'word', { cursor })).status).toBe(400),
  );
});

describe('compared with a filter that reads everything', () => {
  const WORDS = [
    'al',
    'alp',
    'alpha',
    'alphabet',
    'beta',
    'bet',
    'été',
    'Ete',
    'x',
    '日本',
    '日本語',
    'o’clock',
    'a-b',
  ];
  const text = fc
    .array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 6 })
    .map((words) => words.join(' '));
  const positive = fc.oneof(
    fc.constantFrom(...WORDS),
    fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(...WORDS)).map((pair) => `"${pair.join(' ')}"`),
  );
  const negative = fc.constantFrom(...WORDS, '"alpha beta"').map((word) => `-${word}`);
  const query = fc
    .tuple(
      fc.array(positive, { minLength: 1, maxLength: 3 }),
      fc.array(negative, { maxLength: 1 }),
      fc.constantFrom('', 'from:me'),
    )
    .map(([some, none, from]) => [...some, ...none, from].filter(Boolean).join(' '));

  const plain = (word: string) =>
    word
      .normalize('NFD')
      .replace(/\p{Mn}/gu, '')
      .toLowerCase();
  const split = (words: string) => plain(words).split(/[ ’-]+/);
  const isJapanese = (word: string) => word.includes('日');
  const matches = (word: string, wanted: string) =>
    word === wanted ||
    (isJapanese(word)
      ? wanted.length >= 2 && word.includes(wanted)
      : wanted.length >= 3 && word.startsWith(wanted));
  const exact = (word: string, wanted: string) =>
    word === wanted || (isJapanese(word) && isJapanese(wanted) && word.includes(wanted));
  const hasPhrase = (words: string[], phrase: string[]) =>
    words.some((_, at) =>
      phrase.every((wanted, offset) =>
        phrase.length === 1 ? exact(words[at]!, wanted) : words[at + offset] === wanted,
      ),
    );
  const filter = (wanted: string) => (body: string) => {
    const words = split(body);
    return [...wanted.matchAll(/(-?)(?:"([^"]+)"|([^\s"]+))/g)].every(([, minus, phrase, word]) => {
      if (word?.startsWith('from:')) return true;
      if (minus) return !hasPhrase(words, split(phrase ?? word!));
      if (phrase) return hasPhrase(words, split(phrase));
      return split(word!).every((part) => words.some((one) => matches(one, part)));
    });
  };

  it('it finds the same for every user, page by page in one order', async () => {
    const { one, two } = await signUpAll(server.api, 'one', 'two');
    const { groupId: group, channelId: open } = await createRoom(server.api, one, [two]);
    const create = { groupId: group, name: 'closed', visibility: 'private' };
    const closed: string = (await server.api.post('/api/channels', create, one.token)).body.channel.id;
    const seed = 20260131;
    const sent: { id: string; body: string; sender: string; channelId: string }[] = [];
    const sends = [...fc.sample(text, { numRuns: 60, seed }).entries()].map(async ([index, body]) => {
      const sender = index % 3 === 0 && index % 2 === 0 ? two : one;
      const channelId = index % 2 === 0 ? open : closed;
      sent.push({ id: (await send(sender, body, channelId)).id, body, sender: sender.id, channelId });
    });
    await Promise.all(sends);
    const runs = Number(process.env['SEARCH_RUNS'] ?? 20);
    await fc.assert(
      fc.asyncProperty(
        query,
        fc.constantFrom(one, two),
        fc.constantFrom(7, 50),
        async (wanted, reader, limit) => {
          const found: any[] = [];
          let cursor: string | undefined;
          do {
            const { status, body } = await search(reader, wanted, { limit, ...(cursor && { cursor }) });
            expect(status).toBe(200);
            found.push(...body.hits);
            cursor = body.nextCursor;
          } while (cursor);
          const expected = sent.filter(
            ({ body, sender, channelId }) =>
              (reader === one || channelId === open) &&
              (!wanted.includes('from:me') || sender === reader.id) &&
              filter(wanted)(body),
          );
          expect(found.map((hit) => hit.message.id).sort()).toEqual(expected.map(({ id }) => id).sort());
          const ranks = found.map(({ score, message }) => [score, message.createdAt]);
          expect(ranks).toEqual([...ranks].sort((a, b) => b[0] - a[0] || (a[1] < b[1] ? 1 : -1)));
        },
      ),
      { seed, numRuns: runs },
    );
  });
});
