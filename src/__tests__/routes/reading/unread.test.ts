import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

/** `UNREAD_SECONDS=600` tries for ten minutes, `UNREAD_SEED` another sequence. */
const SECONDS = Number(process.env['UNREAD_SECONDS'] ?? 0);
const SEED = Number(process.env['UNREAD_SEED'] ?? 20_267);
const RUNS = 8;

let server: TestServer;
let owner: Person;
let guest: Person;
let groupId: string;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ owner, guest } = await signUpAll(server.api, 'owner', 'guest'));
  ({ groupId, channelId } = await createRoom(server.api, owner, [guest]));
});
afterAll(() => server.close());

async function send(by: Person, body = 'hello', more: object = {}, to = channelId): Promise<any> {
  const input = { clientMessageId: randomUUID(), body, ...more };
  const answer = await server.api.post(`/api/channels/${to}/messages`, input, by.token);
  expect(answer.status).toBe(201);
  return answer.body.message;
}
const read = (by: Person, seq: number) =>
  server.api.call('put', `/api/channels/${channelId}/read`, { token: by.token, body: { seq } });
const unreadFrom = (by: Person, seq: number) =>
  server.api.post(`/api/channels/${channelId}/unread`, { seq }, by.token);
async function counts(of: Person) {
  const { body } = await server.api.get(`/api/channels/${channelId}/summary`, of.token);
  const { readSeq, unread, mentions } = body.summary;
  return { readSeq, unread, mentions };
}

/** The unread counts, computed from the whole history. */
async function recount(of: Person) {
  const { readSeq } = await counts(of);
  const { body } = await server.api.get(`/api/channels/${channelId}/messages`, of.token, { limit: 200 });
  const unread = body.messages.filter(
    (one: any) => one.seq > readSeq && one.senderId !== of.id && !one.deletedAt && !one.threadId,
  );
  const mentions = unread.filter(
    (one: any) => one.mentionIds.includes(of.id) || one.mentionsEveryone === 'channel',
  );
  return { readSeq, unread: unread.length, mentions: mentions.length };
}

describe('the unread count', () => {
  it("excludes replies in threads, and is not reset by one's own reply", async () => {
    const root = await send(owner);
    await send(owner, 'a reply', { threadId: root.id });
    expect(await counts(guest)).toEqual({ readSeq: 0, unread: 1, mentions: 0 });
    await send(guest, 'another', { threadId: root.id });
    expect(await counts(guest)).toEqual({ readSeq: 0, unread: 1, mentions: 0 });
    await read(guest, 2);
    expect(await counts(guest)).toEqual({ readSeq: 2, unread: 0, mentions: 0 });
    await send(owner);
    expect(await counts(guest)).toMatchObject({ unread: 1 });
  });

  it('counts mentions of the user and of the channel, until they are deleted', async () => {
    const named = await send(owner, `Hello @${guest.username}`);
    await send(owner, '@channel hello');
    await send(owner);
    expect(await counts(guest)).toMatchObject({ unread: 3, mentions: 2 });
    expect(await counts(owner)).toMatchObject({ unread: 0, mentions: 0 });
    await server.api.delete(`/api/messages/${named.id}`, owner.token);
    expect(await counts(guest)).toMatchObject({ unread: 2, mentions: 1 });
  });

  it('is kept for those who remain in a channel that becomes private', async () => {
    await send(owner);
    await send(guest, '@channel');
    await send(guest, `@${owner.username}`);
    const before = await counts(owner);
    expect(before).toEqual({ readSeq: 1, unread: 2, mentions: 1 });
    const path = `/api/channels/${channelId}`;
    const { body } = await server.api.patch(path, { visibility: 'private' }, owner.token);
    expect(body.channel).toMatchObject({ visibility: 'private', memberCount: 1 });
    expect(await counts(owner)).toEqual(before);
  });

  it('is kept for the members of a channel that is opened, even if they have never read it', async () => {
    const switchTo = async (visibility: string) => {
      const answer = await server.api.patch(`/api/channels/${channelId}`, { visibility }, owner.token);
      expect(answer.status).toBe(200);
    };
    await send(guest);
    await send(guest, '@channel');
    const before = await counts(owner);
    expect(before).toMatchObject({ readSeq: 0, unread: 2 });
    await switchTo('private');
    await switchTo('public');
    expect(await counts(owner)).toEqual(before);
  });

  it('goes back to a message when the user marks it as unread, and is sent to their devices', async () => {
    for (const by of [owner, guest, owner, owner]) await send(by);
    await read(guest, 4);
    const device = await connect(server.url, guest.token);
    const { body } = await unreadFrom(guest, 2);
    expect(body.read).toMatchObject({ readSeq: 1, unread: 2 });
    expect(await device.waitFor('channel:read')).toEqual({ read: body.read });
    // An outdated read position is ignored, and so is an unread position after the marker.
    await read(guest, 1);
    await unreadFrom(guest, 4);
    expect(await counts(guest)).toEqual({ readSeq: 1, unread: 2, mentions: 0 });
    expect(await device.ask('channel:mark_read', { channelId, seq: 3 })).toMatchObject({
      ok: true,
      data: { read: { readSeq: 3, unread: 1, version: body.read.version + 1 } },
    });
    device.close();
  });

  it('is summed up by group and in total', async () => {
    const other = await server.api.post('/api/channels', { groupId, name: 'other' }, owner.token);
    await send(owner, '@channel hello');
    await send(owner, 'hello', {}, other.body.channel.id);
    const second = await createRoom(server.api, owner, [guest]);
    await send(owner, 'hello', {}, second.channelId);
    const { body } = await server.api.get('/api/client/unread', guest.token);
    expect(body).toMatchObject({ unread: 3, mentions: 1 });
    expect(body.groups).toEqual([
      { groupId, unread: 2, mentions: 1 },
      { groupId: second.groupId, unread: 1, mentions: 0 },
    ]);
    expect(body.channels.map((one: any) => one.unread)).toEqual([1, 1, 1]);
  });
});

/** Actions of users that change their counts concurrently. */
type Step = {
  kind: 'send' | 'reply' | 'name' | 'edit' | 'delete' | 'read' | 'unread';
  by: number;
  pick: number;
};

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('send', 'send', 'send', 'reply', 'name', 'edit', 'delete', 'read', 'unread'),
  by: fc.nat(1),
  pick: fc.nat(30),
});

test(
  'equals a recount after any concurrent actions',
  async () => {
    if (SECONDS > 0) console.log(`seed ${SEED}`);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 8 }), { maxLength: 6 }), async (rounds) => {
        ({ groupId, channelId } = await createRoom(server.api, owner, [guest]));
        const people = [owner, guest];
        const sent: any[] = [await send(owner)];
        for (const round of rounds) {
          await Promise.all(
            round.map(async ({ kind, by, pick }) => {
              const person = people[by]!;
              const one = sent[pick % sent.length]!;
              const name = `@${people[1 - by]!.username}`;
              if (kind === 'send') sent.push(await send(person));
              if (kind === 'name') sent.push(await send(person, pick % 2 ? name : '@channel'));
              if (kind === 'reply') {
                const threadId = one.threadId ?? one.id;
                const input = { clientMessageId: randomUUID(), body: name, threadId };
                await server.api.post(`/api/channels/${channelId}/messages`, input, person.token);
              }
              const author = people.find(({ id }) => id === one.senderId)!;
              if (kind === 'edit')
                await server.api.patch(`/api/messages/${one.id}`, { body: `${name} ${pick}` }, author.token);
              if (kind === 'delete') await server.api.delete(`/api/messages/${one.id}`, author.token);
              if (kind === 'read') await read(person, one.seq);
              if (kind === 'unread') await unreadFrom(person, one.seq);
            }),
          );
          for (const person of people) expect(await counts(person)).toEqual(await recount(person));
        }
        for (const person of people) {
          const { body } = await server.api.get('/api/client/verify', person.token);
          expect(body.drift).toEqual([]);
        }
      }),
      {
        seed: SEED,
        ...(SECONDS > 0
          ? { numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000 }
          : { numRuns: RUNS, endOnFailure: true }),
      },
    );
  },
  60_000 + SECONDS * 1500,
);

describe('verifying the unread counts', () => {
  it('finds a wrong count, reports it once, and repairs it for everyone', async () => {
    const root = await send(owner);
    await send(owner, 'a reply', { threadId: root.id });
    for (const by of [owner, guest, owner]) await send(by);
    await unreadFrom(guest, 3);
    const right = [await counts(owner), await counts(guest)];
    const { messages, channels, channelReads } = server.context.database.collections;
    const _id = new ObjectId(channelId);
    await channels.updateOne({ _id }, { $inc: { mainSeq: 7 } });
    await messages.updateOne({ channelId: _id, seq: 4 }, { $inc: { mainSeq: 3 } });
    await channelReads.updateMany({ channelId: _id }, { $inc: { mainSeq: 1 } });
    const verify = async (by: Person) => (await server.api.get('/api/client/verify', by.token)).body;
    const { channels: number, drift } = await verify(guest);
    expect([number, drift]).toEqual([
      1,
      [
        {
          channelId,
          shown: { unread: right[1]!.unread + 6, mentions: 0 },
          counted: { unread: right[1]!.unread, mentions: 0 },
        },
      ],
    ]);
    expect(server.context.services.errors.list()[0]).toMatchObject({ name: 'read state' });
    expect([await counts(owner), await counts(guest)]).toEqual(right);
    expect([(await verify(guest)).drift, (await verify(owner)).drift]).toEqual([[], []]);
    await send(owner);
    await read(guest, 4);
    expect(await counts(guest)).toEqual(await recount(guest));
  });
});
