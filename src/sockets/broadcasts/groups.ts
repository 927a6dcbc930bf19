import { toGroup, toMember, toSharedGroup } from '../../models/group.model';
import { toReceivedInvite } from '../../models/groups/invite.model';
import { toJoinRequest } from '../../models/groups/join-request.model';
import { group, to, users, type BroadcastsOf } from './broadcast.types';

export const groupBroadcasts = {
  'group.created': {
    after: ({ group: created, owner }) => [
      to(users(owner.userId), 'group:added', { group: toGroup(created, owner.role) }),
    ],
  },
  'group.updated': {
    after: ({ group: updated }) => [
      to(group(updated._id), 'group:updated', { group: toSharedGroup(updated) }),
    ],
  },
  'group.deleted': {
    before: ({ groupId }) => [
      to(group(groupId), 'group:removed', { groupId: groupId.toHexString(), reason: 'deleted' }),
    ],
  },
  'member.added': {
    after: ({ group: joined, membership, person }) => [
      to(users(membership.userId), 'group:added', { group: toGroup(joined, membership.role) }),
      to(group(joined._id), 'member:added', {
        groupId: joined._id.toHexString(),
        member: toMember(membership, person),
      }),
    ],
  },
  'member.removed': {
    after: ({ groupId, userId, reason }) => {
      const id = groupId.toHexString();
      return [
        to(users(userId), 'group:removed', { groupId: id, reason }),
        to(group(groupId), 'member:removed', { groupId: id, userId: userId.toHexString() }),
      ];
    },
  },
  'member.role_changed': {
    after: ({ membership, person }) => [
      to(group(membership.groupId), 'member:updated', {
        groupId: membership.groupId.toHexString(),
        member: toMember(membership, person),
      }),
    ],
  },
  'join_request.created': {
    after: ({ request, person, adminIds }) => [
      to(users(...adminIds), 'join_request:created', { joinRequest: toJoinRequest(request, person) }),
    ],
  },
  'join_request.ended': {
    after: ({ groupId, userId, outcome, adminIds }) => [
      to(users(...adminIds, userId), 'join_request:ended', {
        groupId: groupId.toHexString(),
        userId: userId.toHexString(),
        outcome,
      }),
    ],
  },
  'invite.received': {
    after: ({ userId, invite, group: into, inviter }) => [
      to(users(userId), 'invite:received', { invite: toReceivedInvite(invite, into, inviter) }),
    ],
  },
  'invite.ended': {
    after: ({ userId, inviteId, groupId }) => [
      to(users(userId), 'invite:ended', {
        inviteId: inviteId.toHexString(),
        groupId: groupId.toHexString(),
      }),
    ],
  },
} satisfies BroadcastsOf<
  | 'group.created'
  | 'group.updated'
  | 'group.deleted'
  | 'member.added'
  | 'member.removed'
  | 'member.role_changed'
  | 'join_request.created'
  | 'join_request.ended'
  | 'invite.received'
  | 'invite.ended'
>;
