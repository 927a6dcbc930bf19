import { ObjectId } from 'mongodb';
import { openDatabase } from '../../src/db/mongodb';
import type { ChannelDocument, ChannelMemberDocument } from '../../src/models/channel.model';
import { directKeyOf } from '../../src/models/channels/direct-message.model';
import { nameKeysOf } from '../../src/utils/name-keys';
import { call } from '../demo/rest';
import type { Room } from './people';

const BATCH = 1000;

/** A channel that was created through the API, to be copied by `copyChannel`. */
export type Template = { channelId: string };

/** Creates a private channel of a group, or a conversation outside of groups. */
export async function createTemplate(
  url: string,
  { groupId, people }: Room,
  direct: boolean,
): Promise<Template> {
  const [owner, ...others] = people;
  if (direct) {
    // With two others, so that no two people have this conversation already.
    const userIds = others.slice(0, 2).map(({ id }) => id);
    const path = '/api/direct-messages';
    const { conversation } = await call<{ conversation: { channel: { id: string } } }>(
      url,
      'POST',
      path,
      owner?.token,
      { userIds },
    );
    return { channelId: conversation.channel.id };
  }
  const input = { groupId, name: 'template', visibility: 'private' };
  const { channel } = await call<{ channel: { id: string } }>(
    url,
    'POST',
    '/api/channels',
    owner?.token,
    input,
  );
  return { channelId: channel.id };
}

/**
 * Copies a channel in the store of a stopped server, because the API would take minutes for a thousand channels.
 * @param memberships the ids of the members of each copy.
 * @returns the ids of the copies, in the order of `memberships`.
 */
export async function copyChannel(
  dataDir: string,
  { channelId }: Template,
  memberships: readonly string[][],
): Promise<string[]> {
  const database = await openDatabase({ uri: undefined, name: 'parley', dataDir });
  const { collections } = database;
  try {
    const channel = await collections.channels.findOne({ _id: new ObjectId(channelId) });
    const member = await collections.channelMembers.findOne({ channelId: new ObjectId(channelId) });
    if (!channel || !member) throw new Error('The channel is not in the store.');
    const copies = memberships.map((userIds, index) => copyOf(channel, member, userIds, index));
    for (let first = 0; first < copies.length; first += BATCH) {
      const batch = copies.slice(first, first + BATCH);
      await collections.channels.insertMany(batch.map((copy) => copy.channel));
      await collections.channelMembers.insertMany(batch.flatMap((copy) => copy.members));
    }
    return copies.map((copy) => copy.channel._id.toHexString());
  } finally {
    await database.close();
  }
}

function copyOf(
  channel: ChannelDocument,
  member: ChannelMemberDocument,
  userIds: readonly string[],
  index: number,
): { channel: ChannelDocument; members: ChannelMemberDocument[] } {
  const _id = new ObjectId();
  const people = userIds.map((id) => new ObjectId(id));
  const [one, other] = people;
  const name = `channel${index}`;
  const own =
    channel.kind === 'direct'
      ? { directKey: directKeyOf(one!, other!) }
      : { name, ...nameKeysOf(name), position: channel.position + index + 1 };
  return {
    channel: { ...channel, _id, ...own, memberCount: people.length },
    members: people.map((userId) => ({ ...member, _id: new ObjectId(), channelId: _id, userId })),
  };
}
