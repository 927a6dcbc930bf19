import { DatabaseSeeder } from '../../../services/database.seeder';
import { startTestServer, type TestServer } from '../../fixtures/server';

/** The content of a database without ids and times, which differ each time. */
async function contentOf({ context }: TestServer): Promise<object> {
  const { users, groups, channels, messages, memberships } = context.database.collections;
  const names = new Map<string, string>();
  for (const { _id, username } of await users.find().toArray()) names.set(_id.toHexString(), username);
  for (const { _id, name } of await groups.find().toArray()) names.set(_id.toHexString(), name);
  const allChannels = await channels.find().toArray();
  const indexOf = new Map(
    allChannels.map(({ _id, groupId, name }) => [
      _id.toHexString(),
      groupId ? `${names.get(groupId.toHexString())}/${name}` : 'direct',
    ]),
  );
  const said = await messages.find().sort({ channelId: 1, seq: 1 }).toArray();
  return {
    people: [...names.values()],
    channels: [...indexOf.values()],
    members: (await memberships.find().sort({ _id: 1 }).toArray()).map(
      ({ groupId, userId, role }) =>
        `${names.get(groupId.toHexString())}: ${names.get(userId.toHexString())} ${role}`,
    ),
    messages: said
      .map(({ channelId, seq, senderId, body }) =>
        [indexOf.get(channelId.toHexString()), seq, names.get(senderId.toHexString()), body].join(' | '),
      )
      .sort(),
  };
}

/** Collections and fields that must not be empty for every feature to be visible. */
const SHOWN = [
  'announcements',
  'auditLog',
  'blocks',
  'bookmarks',
  'channelChanges',
  'channelMembers',
  'channelReads',
  'channelRestrictions',
  'drafts',
  'groupBans',
  'invites',
  'joinRequests',
  'messageEdits',
  'notifications',
  'preferences',
  'reports',
  'scheduledMessages',
  'threadFollows',
  'uploads',
] as const;

const plan = { seed: 7, users: 8, messages: 60 };

test('the same seed creates the same content, which covers every feature', async () => {
  const servers = [await startTestServer(), await startTestServer()] as const;
  try {
    for (const { context } of servers) {
      await new DatabaseSeeder(context.database.collections, context.services).seed(plan);
    }
    const [one, other] = [await contentOf(servers[0]), await contentOf(servers[1])];
    expect(one).toEqual(other);

    const { collections } = servers[0].context.database;
    const empty: string[] = [];
    for (const name of SHOWN) if ((await collections[name].countDocuments()) === 0) empty.push(name);
    expect(empty).toEqual([]);
    const states = (await collections.reports.find().toArray()).map(({ state }) => state).sort();
    expect(states).toEqual(['claimed', 'open', 'resolved']);
    const { groups, channels, messages, users } = collections;
    expect(await groups.countDocuments({ archivedAt: { $type: 'date' } })).toBe(1);
    expect(await channels.countDocuments({ archivedAt: { $type: 'date' } })).toBe(1);
    expect(await groups.countDocuments({ avatarId: { $exists: true } })).toBe(1);
    expect(await channels.countDocuments({ ownerId: { $exists: true } })).toBe(1);
    expect(await channels.countDocuments({ kind: 'direct' })).toBe(2);
    expect(await messages.countDocuments({ pinnedAt: { $exists: true } })).toBe(1);
    expect(await messages.countDocuments({ mentionsEveryone: 'channel' })).toBe(1);
    expect(await messages.countDocuments({ 'attachments.0': { $exists: true } })).toBe(1);
    expect(await users.countDocuments({ state: 'suspended' })).toBe(1);
  } finally {
    for (const server of servers) await server.close();
  }
});
