import type { ObjectId } from 'mongodb';
import { ownerOf, type ChannelDocument, type RestrictionKind } from '../../models/channel.model';
import type { GroupDocument, GroupRole } from '../../models/group.model';
import type { MessageDocument } from '../../models/message.model';
import type { GlobalRole, UserState } from '../../models/user.model';
import type { ErrorCode } from '../../utils/errors';

/** The user who wants to do something. */
export type Actor = Facts['user'];

/** The facts that a decision may depend on. Facts that do not apply to the resource are missing. */
export interface Facts {
  user: { id: ObjectId; role: GlobalRole; state: UserState };
  /** The group, or the group of the channel; null in direct messages. */
  group?: GroupDocument | null;
  /** The user's role in the group. */
  role?: GroupRole | null;
  bannedFromGroup?: boolean;
  channel?: ChannelDocument;
  /** Whether the user is a member of a private or direct channel. */
  inChannel?: boolean;
  restriction?: RestrictionKind | null;
  /** In a conversation of two: whether one of them has blocked the other. */
  blocked?: boolean;
  /** In a conversation of two: whether one of them has deleted or deactivated their account. */
  partnerUnavailable?: boolean;
  message?: MessageDocument;
  /** The role of the affected user in the group; null if they are not a member. */
  subjectRole?: GroupRole | null;
  subjectBanned?: boolean;
  /** Whether the affected user has blocked the user, and whether they may only be invited, not added. */
  subjectHasBlocked?: boolean;
  subjectInviteOnly?: boolean;
  /** Whether the affected user is the user themselves. */
  onSelf?: boolean;
  /** The role that the affected user is given. */
  newRole?: GroupRole;
  /** Whether the other user is the user themselves, and whether they have a group or a conversation in common. */
  oneself?: boolean;
  shareGroupOrConversation?: boolean;
  /** Who may create groups, by configuration. */
  groupCreation?: 'everyone' | 'group_admins';
}

/** Whether a ban, a restriction or an invite has not expired. */
export function isUnexpired({ expiresAt }: { expiresAt: Date | null }): boolean {
  return expiresAt === null || expiresAt > new Date();
}

/** The verdict of a rule; `next` leaves the decision to the next rule. */
type Verdict = 'allow' | 'refuse' | 'next';

export interface Rule {
  name: string;
  /** The rule as a sentence, for the explanation of a decision. */
  description: string;
  decide(facts: Facts): Verdict;
  /** The error of a refusal. */
  code: ErrorCode;
  message: string;
  /** Whether it applies to super admins as well, because it depends on the state of the resource and not on the user. */
  absolute?: boolean;
}

const RANK: Record<GroupRole, number> = { owner: 3, admin: 2, moderator: 1, member: 0 };

/** Whether a role in a group has at least the rights of another. */
export function hasRank(role: GroupRole | null | undefined, atLeast: GroupRole): boolean {
  return role !== undefined && role !== null && RANK[role] >= RANK[atLeast];
}

const refuseIf = (condition: boolean): Verdict => (condition ? 'refuse' : 'next');
const allowIf = (condition: boolean): Verdict => (condition ? 'allow' : 'next');

/** Whether the user may read the channel. */
function readsChannel({ channel, role, inChannel, restriction }: Facts): boolean {
  if (!channel || restriction === 'banned') return false;
  if (channel.kind === 'direct') return inChannel === true;
  return hasRank(role, 'member') && (channel.visibility === 'public' || inChannel === true);
}

export const accountActive: Rule = {
  name: 'account_active',
  description: 'The account must be active.',
  decide: ({ user }) => refuseIf(user.state !== 'active'),
  code: 'account_suspended',
  message: 'The account is not active.',
  absolute: true,
};

export const groupHidden: Rule = {
  name: 'private_group_is_hidden',
  description: 'Only members of a private group may know that it exists.',
  decide: ({ group, role }) => refuseIf(group?.visibility === 'private' && !hasRank(role, 'member')),
  code: 'not_found',
  message: 'There is no such group.',
};

export const groupMembersOnly: Rule = {
  name: 'members_of_the_group_only',
  description: 'Only members of the group may do this.',
  decide: ({ role }) => refuseIf(!hasRank(role, 'member')),
  code: 'not_a_member',
  message: 'Only members of the group may do this.',
};

export const groupNotArchived: Rule = {
  name: 'group_not_archived',
  description: 'An archived group is read-only until it is restored.',
  decide: ({ group }) => refuseIf(group?.archivedAt instanceof Date),
  code: 'group_archived',
  message: 'The group is archived.',
  absolute: true,
};

export const notBannedFromGroup: Rule = {
  name: 'banned_from_the_group',
  description: 'A user who is banned from a group cannot join it until the ban ends.',
  decide: ({ bannedFromGroup }) => refuseIf(bannedFromGroup === true),
  code: 'banned',
  message: 'You are banned from this group.',
  absolute: true,
};

export const joinedAlready: Rule = {
  name: 'member_already',
  description: 'A member may join again. This changes nothing.',
  decide: ({ role }) => allowIf(hasRank(role, 'member')),
  code: 'forbidden',
  message: '',
};

export const notMemberYet: Rule = {
  name: 'no_member_yet',
  description: 'A member cannot request to join.',
  decide: ({ role }) => refuseIf(hasRank(role, 'member')),
  code: 'member_already',
  message: 'You are a member of this group already.',
  absolute: true,
};

export const groupNotOpen: Rule = {
  name: 'joining_takes_a_request',
  description: 'An open group can be joined without a request.',
  decide: ({ group }) => refuseIf(group?.visibility === 'public' && group.joinPolicy === 'open'),
  code: 'group_open',
  message: 'This group is open. Join it without a request.',
  absolute: true,
};

export const subjectNotBanned: Rule = {
  name: 'they_are_banned',
  description: 'A user who is banned from a group cannot be added to it until the ban ends.',
  decide: ({ subjectBanned }) => refuseIf(subjectBanned === true),
  code: 'banned',
  message: 'This user is banned from the group.',
  absolute: true,
};

/** The error of both rules, so that a refusal does not reveal a block. */
const INVITE_INSTEAD = {
  code: 'consent_required',
  message: 'This user can only be invited to groups. Send them an invite.',
} as const;

export const subjectHasNotBlocked: Rule = {
  name: 'they_have_blocked_the_user',
  description: 'A user cannot be added to a group by a user whom they have blocked.',
  decide: ({ subjectHasBlocked, subjectRole }) => refuseIf(subjectHasBlocked === true && !subjectRole),
  ...INVITE_INSTEAD,
  absolute: true,
};

export const subjectConsents: Rule = {
  name: 'they_come_in_by_invite_only',
  description: 'A user whose preferences say so can only be invited to groups, not added.',
  decide: ({ subjectInviteOnly, subjectRole }) => refuseIf(subjectInviteOnly === true && !subjectRole),
  ...INVITE_INSTEAD,
};

export const partnerConsents: Rule = {
  name: 'they_are_not_added_to_conversations',
  description:
    'A user who can only be invited to groups cannot be added to conversations of several people either.',
  decide: ({ subjectInviteOnly }) => refuseIf(subjectInviteOnly === true),
  code: 'consent_required',
  message: 'This user cannot be added to conversations of several people. Write to them directly.',
  absolute: true,
};

export const joinNeedsApproval: Rule = {
  name: 'joining_needs_approval',
  description: 'This group can be joined only by a request that an admin approves.',
  decide: ({ group }) => refuseIf(group?.joinPolicy === 'approval'),
  code: 'approval_required',
  message: 'This group requires approval. Send a request to join.',
};

export const channelHidden: Rule = {
  name: 'channel_is_hidden',
  description:
    'Only users who can read a channel may know that it exists: members of its group (and of the channel, if it is private) who are not banned from it.',
  decide: (facts) => refuseIf(!readsChannel(facts)),
  code: 'not_found',
  message: 'There is no such channel.',
};

/** Calls are not overseen from outside: a super admin who does not read the channel can only end them. */
export const callHidden: Rule = {
  ...channelHidden,
  name: 'calls_are_for_readers',
  description: 'Only users who can read a channel take part in its calls. This applies to super admins, too.',
  absolute: true,
};

export const channelNotArchived: Rule = {
  name: 'channel_not_archived',
  description: 'An archived channel is read-only until it is restored.',
  decide: ({ channel }) => refuseIf(channel?.archivedAt instanceof Date),
  code: 'channel_archived',
  message: 'The channel is archived.',
  absolute: true,
};

export const channelInGroup: Rule = {
  name: 'direct_messages_have_no_admins',
  description: 'Direct messages have no admins.',
  decide: ({ channel }) => refuseIf(channel?.kind === 'direct'),
  code: 'direct_channel',
  message: 'This cannot be done in direct messages.',
  absolute: true,
};

export const notMuted: Rule = {
  name: 'muted_in_the_channel',
  description: 'A user who is muted in a channel can read it, but cannot write.',
  decide: ({ restriction }) => refuseIf(restriction === 'muted'),
  code: 'muted',
  message: 'You are muted in this channel.',
};

export const announcementsByModerators: Rule = {
  name: 'announcement_only',
  description: 'In an announcement channel only moderators of the group may send, edit and react.',
  decide: ({ channel, role }) => refuseIf(channel?.announcementOnly === true && !hasRank(role, 'moderator')),
  code: 'announcement_only',
  message: 'Only moderators may write in this channel.',
};

export const moderatorsInGroups: Rule = {
  name: 'moderators_in_groups',
  description:
    'In a group this requires the role moderator or a higher one; in direct messages everyone may do it.',
  decide: ({ channel, role }) => refuseIf(channel?.kind !== 'direct' && !hasRank(role, 'moderator')),
  code: 'forbidden',
  message: 'This requires the role moderator in the group.',
};

export const notBlocked: Rule = {
  name: 'blocked',
  description: 'Two users cannot write to each other directly if one has blocked the other.',
  decide: ({ blocked }) => refuseIf(blocked === true),
  code: 'direct_messages_closed',
  message: 'You cannot write to this user.',
  absolute: true,
};

export const partnerAvailable: Rule = {
  name: 'partner_away',
  description: 'A user who has deleted or deactivated their account receives no direct messages.',
  decide: ({ partnerUnavailable }) => refuseIf(partnerUnavailable === true),
  code: 'direct_messages_closed',
  message: 'This user no longer receives messages.',
  absolute: true,
};

export const directOnly: Rule = {
  name: 'direct_messages_only',
  description:
    'This is possible in direct messages only; the members of a group channel are managed separately.',
  decide: ({ channel }) => refuseIf(channel?.kind !== 'direct'),
  code: 'bad_request',
  message: 'This is not a direct conversation.',
  absolute: true,
};

export const notDirectPair: Rule = {
  name: 'conversation_of_two_stays',
  description: 'A conversation of two people is permanent and cannot be left.',
  decide: ({ channel }) => refuseIf(channel?.directKey !== undefined),
  code: 'direct_channel',
  message: 'A conversation of two people cannot be left.',
  absolute: true,
};

export const channelOwner: Rule = {
  name: 'owner_of_the_channel',
  description: 'The owner of a channel may change it. Its creator is the owner until it is transferred.',
  decide: ({ channel, user }) => allowIf(!!channel && ownerOf(channel)?.equals(user.id) === true),
  code: 'forbidden',
  message: '',
};

export const author: Rule = {
  name: 'author_of_the_message',
  description: 'The author of a message may do this.',
  decide: ({ message, user }) => allowIf(message?.senderId.equals(user.id) === true),
  code: 'forbidden',
  message: '',
};

export const authorOnly: Rule = {
  name: 'author_only',
  description: 'Only the author of a message may do this.',
  decide: ({ message, user }) => (message?.senderId.equals(user.id) === true ? 'allow' : 'refuse'),
  code: 'forbidden',
  message: 'Only the author of a message may do this.',
  absolute: true,
};

export const notForwarded: Rule = {
  name: 'forwarded_words_stay',
  description: 'A forwarded message cannot be edited.',
  decide: ({ message }) => refuseIf(message?.forwardedFrom !== undefined),
  code: 'forbidden',
  message: 'A forwarded message cannot be edited.',
  absolute: true,
};

export const notOfCall: Rule = {
  name: 'messages_about_calls_stay',
  description: 'A message about a call cannot be edited or forwarded.',
  decide: ({ message }) => refuseIf(message?.call !== undefined),
  code: 'forbidden',
  message: 'A message about a call cannot be edited or forwarded.',
  absolute: true,
};

/** The messages of a hidden channel are hidden as well. */
export const messageHidden: Rule = {
  ...channelHidden,
  name: 'message_is_hidden',
  description: 'Only users who can read a channel may know that its messages exist.',
  message: 'There is no such message.',
};

/** A report is visible only to its author and to those who may handle it. */
export const reportHidden: Rule = {
  name: 'report_is_hidden',
  description:
    'Reports are for moderators of the group who can read the channel; in direct messages, for super admins.',
  decide: (facts) => refuseIf(!readsChannel(facts) || !hasRank(facts.role, 'moderator')),
  code: 'not_found',
  message: 'There is no such report.',
};

export const outranksSubject: Rule = {
  name: 'higher_role_than_theirs',
  description:
    'This requires a higher role in the group than that of the affected user. Owners may do it to everyone.',
  decide: ({ role, subjectRole }) =>
    refuseIf(!hasRank(role, 'owner') && !!subjectRole && hasRank(subjectRole, role ?? 'member')),
  code: 'forbidden',
  message: 'This requires a higher role in the group than theirs.',
};

export const givesLesserRole: Rule = {
  name: 'lesser_role_than_ones_own',
  description: 'A user can give roles below their own; owners may give every role.',
  decide: ({ role, newRole }) =>
    refuseIf(!hasRank(role, 'owner') && !!newRole && hasRank(newRole, role ?? 'member')),
  code: 'forbidden',
  message: 'You can only give roles below your own.',
};

export const stepsDown: Rule = {
  name: 'steps_down',
  description: 'Members may give themselves a lower role.',
  decide: ({ role, newRole, onSelf }) =>
    allowIf(onSelf === true && !!role && !!newRole && hasRank(role, newRole)),
  code: 'forbidden',
  message: '',
};

export const mayCreateGroups: Rule = {
  name: 'who_creates_groups',
  description: 'If GROUP_CREATION is group_admins, only group admins may create groups.',
  decide: ({ user, groupCreation }) => refuseIf(groupCreation === 'group_admins' && user.role === 'client'),
  code: 'forbidden',
  message: 'Only group admins may create groups on this server.',
};

export const superAdminsOnly: Rule = {
  name: 'super_admins_only',
  description: 'Only super admins may administer the server.',
  decide: ({ user }) => (user.role === 'super_admin' ? 'allow' : 'refuse'),
  code: 'forbidden',
  message: 'Only super admins may do this.',
};

export const selfAllowed: Rule = {
  name: 'oneself',
  description: 'Users may do this to themselves.',
  decide: ({ oneself }) => allowIf(oneself === true),
  code: 'forbidden',
  message: '',
};

export const sharedGroupOrConversation: Rule = {
  name: 'a_place_in_common',
  description: 'The two users must have a group or a direct conversation in common.',
  decide: ({ shareGroupOrConversation }) => refuseIf(shareGroupOrConversation !== true),
  code: 'forbidden',
  message: 'You have no group or conversation in common with this user.',
};

export function roleInGroup(atLeast: GroupRole): Rule {
  return {
    name: `role_${atLeast}_in_the_group`,
    description: `This requires the role ${atLeast} in the group, or a higher one.`,
    decide: ({ role }) => refuseIf(!hasRank(role, atLeast)),
    code: 'forbidden',
    message: `This requires the role ${atLeast} in the group.`,
  };
}
