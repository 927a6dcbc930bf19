import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { copyRoom, createRoomTemplate, type RoomTemplate } from '../../fixtures/copies';
import { signUp, type Person } from '../../fixtures/people';
import { fillPath, operationsOf, type Operation } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';

/**
 * The callers: anonymous, an outsider, a user who was just removed, and members of each role. None of them created the
 * group, its channel or its message; access to one's own objects has tests of its own.
 */
const CALLERS = ['anonymous', 'stranger', 'removed', 'member', 'moderator', 'admin', 'owner'] as const;
type Caller = (typeof CALLERS)[number];

/** The status for a private group, its public channel and a message in it, in the order of CALLERS. */
const PRIVATE_GROUP: Record<string, number[]> = {
  getGroup: [401, 404, 404, 200, 200, 200, 200],
  joinGroup: [401, 404, 404, 200, 200, 200, 200],
  leaveGroup: [401, 404, 404, 204, 204, 204, 204],
  listMembers: [401, 404, 404, 200, 200, 200, 200],
  addMember: [401, 404, 404, 403, 403, 201, 201],
  removeMember: [401, 404, 404, 403, 403, 204, 204],
  createChannel: [401, 404, 404, 403, 403, 201, 201],
  listChannels: [401, 404, 404, 200, 200, 200, 200],
  getChannel: [401, 404, 404, 200, 200, 200, 200],
  updateChannel: [401, 404, 404, 403, 403, 200, 200],
  deleteChannel: [401, 404, 404, 403, 403, 204, 204],
  // 400: a public channel has no members of its own. Callers who may not manage it are refused earlier.
  addChannelMember: [401, 404, 404, 403, 403, 400, 400],
  removeChannelMember: [401, 404, 404, 403, 403, 404, 404],
  sendMessage: [401, 404, 404, 201, 201, 201, 201],
  listMessages: [401, 404, 404, 200, 200, 200, 200],
  editMessage: [401, 404, 404, 403, 403, 403, 403],
  deleteMessage: [401, 404, 404, 403, 200, 200, 200],
};

/** A public group is visible, but not its content. The rest is as in a private one. */
const PUBLIC_GROUP: Record<string, number[]> = {
  ...PRIVATE_GROUP,
  getGroup: [401, 200, 200, 200, 200, 200, 200],
  joinGroup: [401, 200, 200, 200, 200, 200, 200],
  leaveGroup: [401, 403, 403, 204, 204, 204, 204],
  listMembers: [401, 403, 403, 200, 200, 200, 200],
  addMember: [401, 403, 403, 403, 403, 201, 201],
  removeMember: [401, 403, 403, 403, 403, 204, 204],
  createChannel: [401, 403, 403, 403, 403, 201, 201],
  listChannels: [401, 403, 403, 200, 200, 200, 200],
};

/** A private channel is visible to none of them, whatever their role in the group. */
const PRIVATE_CHANNEL: Record<string, number[]> = Object.fromEntries(
  Object.keys(PRIVATE_GROUP)
    .filter((id) => /Channel$|Message/.test(id) && id !== 'createChannel')
    .concat('addChannelMember', 'removeChannelMember')
    .map((id) => [id, [401, 404, 404, 404, 404, 404, 404]]),
);

interface Fixture {
  tokens: Record<Caller, string | undefined>;
  values: Record<string, string>;
}

let server: TestServer;
let operations: Operation[];
let maker: Person;
let target: Person;
let newcomer: Person;
let people: Record<Exclude<Caller, 'anonymous'>, Person>;

beforeAll(async () => {
  server = await startTestServer();
  operations = operationsOf((await server.api.get('/openapi.json')).body);
  const named = (name: string) => signUp(server.api, name);
  // The first account is super admin, to whom this table does not apply.
  await named('root');
  [maker, target, newcomer] = [await named('maker'), await named('target'), await named('newcomer')];
  people = {
    stranger: await named('stranger'),
    removed: await named('removed'),
    member: await named('member'),
    moderator: await named('moderator'),
    admin: await named('admin'),
    owner: await named('owner'),
  };
});
afterAll(() => server.close());

const originals = new Map<string, Promise<RoomTemplate>>();

function originalOf(group: 'public' | 'private', channel: 'public' | 'private'): Promise<RoomTemplate> {
  const key = `${group} ${channel}`;
  const original =
    originals.get(key) ??
    createRoomTemplate(server, maker, { visibility: group }, channel, { members: [target] });
  originals.set(key, original);
  return original;
}

/** Creates a group with a member of each role, and in it a channel with a message. */
async function createFixture(group: 'public' | 'private', channel: 'public' | 'private'): Promise<Fixture> {
  const { api } = server;
  const { removed, member, moderator, admin, owner } = people;
  const room = await copyRoom(server, await originalOf(group, channel), {
    owner: maker,
    members: [
      { person: removed, role: 'member' },
      { person: member, role: 'member' },
      { person: moderator, role: 'moderator' },
      { person: admin, role: 'admin' },
      { person: owner, role: 'owner' },
    ],
  });
  const { channelId } = room;
  const input = { clientMessageId: randomUUID(), body: 'hello' };
  const sent = await api.post(`/api/channels/${channelId}/messages`, input, maker.token);
  const removedAgain = await api.delete(`/api/groups/${room.groupId}/members/${removed.id}`, maker.token);
  expect([sent.status, removedAgain.status]).toEqual([201, 204]);
  const tokens = Object.fromEntries(
    CALLERS.map((caller) => [caller, caller === 'anonymous' ? undefined : people[caller].token]),
  ) as Fixture['tokens'];
  const values = { groupId: room.groupId, channelId, messageId: sent.body.message.id, userId: target.id };
  return { tokens, values };
}

const bodyOf = (operationId: string, { groupId }: Record<string, string>): object | undefined =>
  ({
    addMember: { userId: newcomer.id },
    createChannel: { groupId, name: randomUUID() },
    updateChannel: { topic: randomUUID() },
    addChannelMember: { userId: target.id },
    sendMessage: { clientMessageId: randomUUID(), body: 'hello' },
    editMessage: { body: randomUUID() },
  })[operationId];

/** Calls that do not change the fixture for other calls. */
const HARMLESS = /^(get|list|create|update|send|edit)/;
/** Calls that change the fixture even for the next caller. */
const ENDING = ['addMember', 'removeMember', 'deleteChannel'];

async function callAs(operationId: string, fixture: Fixture, caller: Caller, values = fixture.values) {
  const { method, path } = operations.find((each) => each.operationId === operationId)!;
  const answer = await server.api.call(method, fillPath(path, values), {
    token: fixture.tokens[caller],
    body: bodyOf(operationId, values),
    query: operationId === 'listChannels' ? { groupId: values['groupId'] } : undefined,
  });
  return { status: answer.status, error: answer.body.error && { ...answer.body.error, requestId: '' } };
}

describe.each([
  ['a private group', 'private', 'public', PRIVATE_GROUP],
  ['a public group', 'public', 'public', PUBLIC_GROUP],
  ['a private channel', 'private', 'private', PRIVATE_CHANNEL],
] as const)('in %s', (_, group, channel, table) => {
  let shared: Promise<Fixture>;

  beforeAll(() => {
    shared = createFixture(group, channel);
  });

  it.each(Object.entries(table))('%s', async (operationId, expected) => {
    const answers: Partial<Record<Caller, number>> = {};
    let fixture = await (HARMLESS.test(operationId) ? shared : createFixture(group, channel));
    for (const caller of CALLERS) {
      const { status } = await callAs(operationId, fixture, caller);
      answers[caller] = status;
      if (status < 300 && ENDING.includes(operationId)) fixture = await createFixture(group, channel);
    }
    expect(answers).toEqual(Object.fromEntries(CALLERS.map((caller, index) => [caller, expected[index]])));
  });
});

describe('for outsiders, a private resource', () => {
  let shared: Promise<Fixture>;

  beforeAll(() => {
    shared = createFixture('private', 'public');
  });

  it.each(Object.keys(PRIVATE_GROUP))('looks like a missing one: %s', async (operationId) => {
    const fixture = await shared;
    const nowhere = { ...fixture.values };
    for (const name of ['groupId', 'channelId', 'messageId']) nowhere[name] = new ObjectId().toHexString();
    for (const caller of ['stranger', 'removed'] as const) {
      const hidden = await callAs(operationId, fixture, caller);
      expect(hidden).toEqual(await callAs(operationId, fixture, caller, nowhere));
      expect(hidden).toMatchObject({ status: 404, error: { code: 'not_found' } });
    }
  });
});
