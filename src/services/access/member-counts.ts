import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { isUnexpired } from './access-rules';

/**
 * Counts the members of public channels of groups: the members of the group who are not banned from the channel. It is
 * computed from the stored member count of the group and the few bans. So it is always exact, and joining or leaving a
 * group does not require a write to each of its channels.
 * @returns the counts by the channel's id in hexadecimal digits.
 */
export async function countMembers(
  collections: Collections,
  publicChannels: readonly ChannelDocument[],
): Promise<Map<string, number>> {
  if (publicChannels.length === 0) return new Map();
  const groupIds = distinct(publicChannels.flatMap(({ groupId }) => groupId ?? []));
  const channelId = { $in: publicChannels.map(({ _id }) => _id) };
  const [groups, restrictions] = await Promise.all([
    collections.groups.find({ _id: { $in: groupIds } }, { projection: { memberCount: 1 } }).toArray(),
    collections.channelRestrictions.find({ channelId, kind: 'banned' }).toArray(),
  ]);
  const bans = await bansOfMembers(
    collections,
    restrictions.filter((one) => isUnexpired(one)),
  );
  const inGroup = new Map(groups.map(({ _id, memberCount }) => [_id.toHexString(), memberCount]));
  const counts = new Map(
    publicChannels.map(({ _id, groupId }) => [_id.toHexString(), inGroup.get(groupId!.toHexString()) ?? 0]),
  );
  for (const ban of bans) {
    const key = ban.channelId.toHexString();
    counts.set(key, (counts.get(key) ?? 0) - 1);
  }
  return counts;
}

/** Keeps the bans of current members: the member count of the group does not include other banned users. */
async function bansOfMembers<Ban extends { groupId: ObjectId; userId: ObjectId }>(
  { memberships }: Collections,
  bans: Ban[],
): Promise<Ban[]> {
  if (bans.length === 0) return [];
  const rows = await memberships
    .find(
      {
        groupId: { $in: distinct(bans.map(({ groupId }) => groupId)) },
        userId: { $in: distinct(bans.map(({ userId }) => userId)) },
      },
      { projection: { groupId: 1, userId: 1 } },
    )
    .toArray();
  const keyOf = ({ groupId, userId }: { groupId: ObjectId; userId: ObjectId }) =>
    `${groupId.toHexString()} ${userId.toHexString()}`;
  const members = new Set(rows.map(keyOf));
  return bans.filter((ban) => members.has(keyOf(ban)));
}

function distinct(ids: readonly ObjectId[]): ObjectId[] {
  return [...new Map(ids.map((id) => [id.toHexString(), id])).values()];
}
