import { randomUUID } from 'node:crypto';
import { ObjectId, type CommandStartedEvent } from 'mongodb';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let member: Person;
let outsider: Person;
/** The commands that are sent to the database, by name and collection. */
const commands: string[] = [];

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true });
  const { client } = server.context.database.db;
  client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
    const collection = String(command[commandName]);
    // Background commands of the server use other collections.
    if (/^(groups|memberships|group_|join_requests|invites|channel)/.test(collection)) {
      commands.push(`${commandName} ${collection}`);
    }
  });
  // The first account is super admin.
  ({ owner, member, outsider } = await signUpAll(server.api, 'root', 'owner', 'member', 'outsider'));
});
afterAll(() => server.close());

/** Everything that an outsider can try with a group. */
function attempts(
  groupId: string,
): [method: 'get' | 'post' | 'patch' | 'put' | 'delete', path: string, body?: object][] {
  const path = `/api/groups/${groupId}`;
  const someone = member.id;
  return [
    ['get', path],
    ['patch', path, { description: 'x' }],
    ['delete', path],
    ['post', `${path}/archive`],
    ['post', `${path}/restore`],
    ['post', `${path}/transfer`, { userId: outsider.id }],
    ['post', `${path}/join`],
    ['post', `${path}/leave`],
    ['get', `${path}/members`],
    ['post', `${path}/members`, { userId: outsider.id }],
    ['patch', `${path}/members/${someone}`, { role: 'member' }],
    ['delete', `${path}/members/${someone}`],
    ['get', `${path}/bans`],
    ['put', `${path}/bans/${someone}`, {}],
    ['delete', `${path}/bans/${someone}`],
    ['post', `${path}/join-requests`, {}],
    ['get', `${path}/join-requests`],
    ['post', `${path}/join-requests/${someone}/approve`],
    ['post', `${path}/join-requests/${someone}/reject`, {}],
    ['delete', `/api/client/join-requests/${groupId}`],
    ['post', `${path}/invites`, {}],
    ['get', `${path}/invites`],
    ['delete', `${path}/invites/${someone}`],
    ['post', '/api/channels', { groupId, name: 'x' }],
    ['get', `/api/channels?groupId=${groupId}`],
  ];
}

/** The answer to each attempt, and its cost in commands. */
async function tryAll(groupId: string) {
  const answers = [];
  for (const [method, path, body] of attempts(groupId)) {
    commands.length = 0;
    const { status, body: answer } = await server.api.call(method, path, { token: outsider.token, body });
    const { code, message } = answer.error;
    answers.push({
      on: `${method} ${path.replace(groupId, 'id')}`,
      status,
      code,
      message,
      commands: [...commands],
    });
  }
  return answers;
}

test('answers the same for a private group as for a missing one, at the same cost, for every attempt', async () => {
  const { groupId } = await createRoom(server.api, owner, [member]);
  const nowhere = await tryAll(new ObjectId().toHexString());
  const hidden = await tryAll(groupId);
  expect(hidden).toEqual(nowhere);
  expect(hidden.map(({ status }) => status)).toEqual(Array(hidden.length).fill(404));
  expect(hidden.every((answer) => answer.commands.length > 0)).toBe(true);
});

test('gives a former member of a private group no more than a stranger', async () => {
  const former = await signUp(server.api);
  const { groupId } = await createRoom(server.api, owner, [former]);
  await server.api.delete(`/api/groups/${groupId}/members/${former.id}`, owner.token);
  for (const [method, path, body] of attempts(groupId)) {
    const answer = await server.api.call(method, path, { token: former.token, body });
    expect([method, path, answer.status]).toEqual([method, path, 404]);
  }
});

test('shows a private group in no list, search or event to outsiders', async () => {
  const word = `w${randomUUID().slice(0, 8)}`;
  const client = await connect(server.url, outsider.token);
  const input = { name: `Secret ${word}`, description: word, visibility: 'private' };
  const groupId: string = (await server.api.post('/api/groups', input, owner.token)).body.group.id;
  await server.api.post(`/api/groups/${groupId}/members`, { userId: member.id }, owner.token);
  await server.api.patch(`/api/groups/${groupId}`, { description: `${word} again` }, owner.token);
  await server.api.post(`/api/groups/${groupId}/transfer`, { userId: member.id }, owner.token);
  const seen = [];
  for (const [path, query] of [
    ['/api/groups', {}],
    ['/api/groups/discover', {}],
    ['/api/groups/discover', { query: word }],
    ['/api/client/join-requests', {}],
    ['/api/client/invites', {}],
    ['/api/client/notifications', {}],
  ] as const) {
    const { status, body } = await server.api.get(path, outsider.token, { ...query, limit: 200 });
    expect([path, status]).toEqual([path, 200]);
    seen.push(body);
  }
  await client.ask('message:delete', { messageId: '0'.repeat(24) });
  client.close();
  for (const secret of [groupId, word]) expect(JSON.stringify([seen, client.events])).not.toContain(secret);
});

test('hides a public group that turns private from outsiders as soon as the call returns', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [member], 'public');
  const devices = [await connect(server.url, outsider.token), await connect(server.url, outsider.token)];
  const insider = await connect(server.url, member.token);
  expect((await server.api.get(`/api/groups/${groupId}`, outsider.token)).status).toBe(200);
  await server.api.patch(`/api/groups/${groupId}`, { visibility: 'private' }, owner.token);
  expect((await tryAll(groupId)).map(({ status }) => status)).toEqual(
    Array(attempts(groupId).length).fill(404),
  );
  const message = { clientMessageId: randomUUID(), body: 'Among ourselves' };
  await server.api.post(`/api/channels/${channelId}/messages`, message, owner.token);
  await insider.waitForMessage(({ message: { body } }) => body === message.body);
  for (const device of devices) {
    await device.ask('message:delete', { messageId: '0'.repeat(24) });
    expect(device.events.filter(({ event }) => !event.startsWith('presence'))).toEqual([]);
    device.close();
  }
  insider.close();
});
