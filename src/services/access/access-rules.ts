import type { ObjectId } from 'mongodb';
import { ownerOf, type ChannelDocument, type RestrictionKind } from '../../models/channel.model';
import type { GroupDocument, GroupRole } from '../../models/group.model';
import type { MessageDocument } from '../../models/message.model';
import type { GlobalRole, UserState } from '../../models/user.model';
import type { ErrorCode } from '../../utils/errors';

/** Who a decision is about: all of a caller that it rests on. */
export type Actor = Facts['user'];

/** What a decision may rest on. What does not belong to the resource is missing. */
export interface Facts {
  user: { id: ObjectId; role: GlobalRole; state: UserState };
  /** The group, or that of the channel; null in direct messages. */
  group?: GroupDocument | null;
  /** The user's role in the group. */
  role?: GroupRole | null;
  bannedFromGroup?: boolean;
  channel?: ChannelDocument;
  /** Whether the user is in the members of a private or direct channel. */
  inChannel?: boolean;
  restriction?: RestrictionKind | null;
  /** Whether one of the two in a direct conversation of two has blocked the other. */
  blocked?: boolean;
  /** Whether the other one in a conversation of two has deleted their account or put it to rest. */
  partnerUnavailable?: boolean;
  message?: MessageDocument;
  /** Whom it is done to: the role that they have in the group, null when they are not in it. */
  subjectRole?: GroupRole | null;
  subjectBanned?: boolean;
  /** Whether they have blocked the user, and whether they want to be invited rather than taken in. */
  subjectHasBlocked?: boolean;
  subjectInviteOnly?: boolean;
  /** Whether users do it to themselves. */
  onSelf?: boolean;
  /** The role that is given. */
  newRole?: GroupRole;
  /** Whether the user is the one whom it concerns, and whether they have a group or a conversation in common. */
  oneself?: boolean;
  shareGroupOrConversation?: boolean;
  /** Who may create groups, by configuration. */
  groupCreation?: 'everyone' | 'group_admins';
}

/** How a rule decides: it allows, refuses, or leaves it to the next one. */
type Verdict = 'allow' | 'refuse' | 'next';

export interface Rule {
  name: string;
  /** The rule in words, for whoever asks why. */
  description: string;
  decide(facts: Facts): Verdict;
  /** What a refusal answers. */
  code: ErrorCode;
  message: string;
  /** Whether it binds super admins as well: it is about the state of things, not about who asks. */
  absolute?: boolean;
}

const RANK: Record<GroupRole, number> = { owner: 3, admin: 2, moderator: 1, member: 0 };

/** Whether a role in a group has at least the rights of another. */
export function hasRank(role: GroupRole | null | undefined, atLeast: GroupRole): boolean {
  return role !== undefined && role !== null && RANK[role] >= RANK[atLeast];
}

const refuseIf = (condition: boolean): Verdict => (condition ? 'refuse' : 'next');
const allowIf = (condition: boolean): Verdict => (condition ? 'allow' : 'next');

/** Whether the user may know of the channel and read it. */
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
  description: 'Who is not a member of a private group may not know that it exists.',
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
  description: 'An archived group is only read, until it is restored.',
  decide: ({ group }) => refuseIf(group?.archivedAt instanceof Date),
  code: 'group_archived',
  message: 'The group is archived.',
  absolute: true,
};

export const notBannedFromGroup: Rule = {
  name: 'banned_from_the_group',
  description: 'Who is banned from a group cannot come in while the ban holds.',
  decide: ({ bannedFromGroup }) => refuseIf(bannedFromGroup === true),
  code: 'banned',
  message: 'You are banned from this group.',
  absolute: true,
};

export const joinedAlready: Rule = {
  name: 'member_already',
  description: 'Who is a member may join again: it changes nothing.',
  decide: ({ role }) => allowIf(hasRank(role, 'member')),
  code: 'forbidden',
  message: '',
};

export const notMemberYet: Rule = {
  name: 'no_member_yet',
  description: 'Who is a member has no need to ask.',
  decide: ({ role }) => refuseIf(hasRank(role, 'member')),
  code: 'member_already',
  message: 'You are a member of this group already.',
  absolute: true,
};

export const groupNotOpen: Rule = {
  name: 'joining_takes_a_request',
  description: 'Into an open group people come by themselves; there is nobody to ask.',
  decide: ({ group }) => refuseIf(group?.visibility === 'public' && group.joinPolicy === 'open'),
  code: 'group_open',
  message: 'This group is open: join it.',
  absolute: true,
};

export const subjectNotBanned: Rule = {
  name: 'they_are_banned',
  description: 'Who is banned from a group is not taken in before the ban has ended.',
  decide: ({ subjectBanned }) => refuseIf(subjectBanned === true),
  code: 'banned',
  message: 'This user is banned from the group.',
  absolute: true,
};

/** One answer for both: whoever is blocked does not learn it from a refusal. */
const INVITE_INSTEAD = {
  code: 'consent_required',
  message: 'This person comes into groups by invite only: invite them.',
} as const;

export const subjectHasNotBlocked: Rule = {
  name: 'they_have_blocked_the_user',
  description: 'Nobody is taken into a group by somebody whom they have blocked.',
  decide: ({ subjectHasBlocked, subjectRole }) => refuseIf(subjectHasBlocked === true && !subjectRole),
  ...INVITE_INSTEAD,
  absolute: true,
};

export const subjectConsents: Rule = {
  name: 'they_come_in_by_invite_only',
  description: 'Who has said so in their preferences is invited into groups, and not taken in.',
  decide: ({ subjectInviteOnly, subjectRole }) => refuseIf(subjectInviteOnly === true && !subjectRole),
  ...INVITE_INSTEAD,
};

export const partnerConsents: Rule = {
  name: 'they_are_not_added_to_conversations',
  description: 'Who wants to be invited into groups is not taken into conversations of several either.',
  decide: ({ subjectInviteOnly }) => refuseIf(subjectInviteOnly === true),
  code: 'consent_required',
  message: 'This person is not added to conversations of several: write to them alone.',
  absolute: true,
};

export const joinNeedsApproval: Rule = {
  name: 'joining_needs_approval',
  description: 'This group takes people in by request.',
  decide: ({ group }) => refuseIf(group?.joinPolicy === 'approval'),
  code: 'approval_required',
  message: 'Ask to join: an admin of the group decides.',
};

export const channelHidden: Rule = {
  name: 'channel_is_hidden',
  description:
    'Only who can read a channel may know that it exists: members of its group and, where it is private, of the channel, who are not banned from it.',
  decide: (facts) => refuseIf(!readsChannel(facts)),
  code: 'not_found',
  message: 'There is no such channel.',
};

export const channelNotArchived: Rule = {
  name: 'channel_not_archived',
  description: 'An archived channel is only read, until it is restored.',
  decide: ({ channel }) => refuseIf(channel?.archivedAt instanceof Date),
  code: 'channel_archived',
  message: 'The channel is archived.',
  absolute: true,
};

export const channelInGroup: Rule = {
  name: 'direct_messages_have_no_admins',
  description: 'In direct messages there is nobody who administers.',
  decide: ({ channel }) => refuseIf(channel?.kind === 'direct'),
  code: 'direct_channel',
  message: 'This cannot be done in direct messages.',
  absolute: true,
};

export const notMuted: Rule = {
  name: 'muted_in_the_channel',
  description: 'Who is muted in a channel reads it, and cannot write.',
  decide: ({ restriction }) => refuseIf(restriction === 'muted'),
  code: 'muted',
  message: 'You are muted in this channel.',
};

export const announcementsByModerators: Rule = {
  name: 'announcement_only',
  description: 'In an announcement channel only moderators of the group write: send, edit and react.',
  decide: ({ channel, role }) => refuseIf(channel?.announcementOnly === true && !hasRank(role, 'moderator')),
  code: 'announcement_only',
  message: 'Only moderators write in this channel.',
};

export const moderatorsInGroups: Rule = {
  name: 'moderators_in_groups',
  description: 'In a group this takes the role moderator, or a higher one; in direct messages everybody may.',
  decide: ({ channel, role }) => refuseIf(channel?.kind !== 'direct' && !hasRank(role, 'moderator')),
  code: 'forbidden',
  message: 'This takes the role moderator in the group.',
};

export const notBlocked: Rule = {
  name: 'blocked',
  description: 'Two of whom one has blocked the other cannot write to each other directly.',
  decide: ({ blocked }) => refuseIf(blocked === true),
  code: 'direct_messages_closed',
  message: 'You cannot write to this person.',
  absolute: true,
};

export const partnerAvailable: Rule = {
  name: 'partner_away',
  description: 'Nobody writes directly to somebody who has deleted their account or put it to rest.',
  decide: ({ partnerUnavailable }) => refuseIf(partnerUnavailable === true),
  code: 'direct_messages_closed',
  message: 'This person reads no messages any more.',
  absolute: true,
};

export const directOnly: Rule = {
  name: 'direct_messages_only',
  description: 'This is about direct messages: a channel of a group has members of its own.',
  decide: ({ channel }) => refuseIf(channel?.kind !== 'direct'),
  code: 'bad_request',
  message: 'This is not a direct conversation.',
  absolute: true,
};

export const notDirectPair: Rule = {
  name: 'conversation_of_two_stays',
  description: 'A conversation of two is theirs for ever: nobody leaves it.',
  decide: ({ channel }) => refuseIf(channel?.directKey !== undefined),
  code: 'direct_channel',
  message: 'A conversation of two is not left.',
  absolute: true,
};

export const channelOwner: Rule = {
  name: 'owner_of_the_channel',
  description: 'Who owns a channel may change it: who made it, until it is handed over.',
  decide: ({ channel, user }) => allowIf(!!channel && ownerOf(channel)?.equals(user.id) === true),
  code: 'forbidden',
  message: '',
};

export const author: Rule = {
  name: 'author_of_the_message',
  description: 'The author may do this to a message.',
  decide: ({ message, user }) => allowIf(message?.senderId.equals(user.id) === true),
  code: 'forbidden',
  message: '',
};

export const authorOnly: Rule = {
  name: 'author_only',
  description: 'Only the author of a message may do this.',
  decide: ({ message, user }) => (message?.senderId.equals(user.id) === true ? 'allow' : 'refuse'),
  code: 'forbidden',
  message: 'Only its author may do this to a message.',
  absolute: true,
};

export const notForwarded: Rule = {
  name: 'forwarded_words_stay',
  description: "Who forwards somebody's words cannot change them.",
  decide: ({ message }) => refuseIf(message?.forwardedFrom !== undefined),
  code: 'forbidden',
  message: 'A forwarded message cannot be edited.',
  absolute: true,
};

/** A message of a hidden channel is as little known as the channel. */
export const messageHidden: Rule = {
  ...channelHidden,
  name: 'message_is_hidden',
  description: 'Only who can read a channel may know of its messages.',
  message: 'There is no such message.',
};

/** Of a report nobody knows but who made it and who may handle it. */
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
    'It takes a higher role in the group than that of the person whom it is done to; owners may do it to everybody.',
  decide: ({ role, subjectRole }) =>
    refuseIf(!hasRank(role, 'owner') && !!subjectRole && hasRank(subjectRole, role ?? 'member')),
  code: 'forbidden',
  message: 'This takes a higher role in the group than theirs.',
};

export const givesLesserRole: Rule = {
  name: 'lesser_role_than_ones_own',
  description: 'A role can be given by those who have a higher one; owners may give every role.',
  decide: ({ role, newRole }) =>
    refuseIf(!hasRank(role, 'owner') && !!newRole && hasRank(newRole, role ?? 'member')),
  code: 'forbidden',
  message: 'You can only give roles below your own.',
};

export const stepsDown: Rule = {
  name: 'steps_down',
  description: 'Members may give themselves a lesser role.',
  decide: ({ role, newRole, onSelf }) =>
    allowIf(onSelf === true && !!role && !!newRole && hasRank(role, newRole)),
  code: 'forbidden',
  message: '',
};

export const mayCreateGroups: Rule = {
  name: 'who_creates_groups',
  description: 'Where GROUP_CREATION says so, only group admins create groups.',
  decide: ({ user, groupCreation }) => refuseIf(groupCreation === 'group_admins' && user.role === 'client'),
  code: 'forbidden',
  message: 'Only group admins may create groups here.',
};

export const superAdminsOnly: Rule = {
  name: 'super_admins_only',
  description: 'Only super admins administer the server.',
  decide: ({ user }) => (user.role === 'super_admin' ? 'allow' : 'refuse'),
  code: 'forbidden',
  message: 'Only super admins may do this.',
};

export const selfAllowed: Rule = {
  name: 'oneself',
  description: 'Everybody may do this to themselves.',
  decide: ({ oneself }) => allowIf(oneself === true),
  code: 'forbidden',
  message: '',
};

export const sharedGroupOrConversation: Rule = {
  name: 'a_place_in_common',
  description: 'It takes a group or a direct conversation in common.',
  decide: ({ shareGroupOrConversation }) => refuseIf(shareGroupOrConversation !== true),
  code: 'forbidden',
  message: 'You have no group or conversation in common with this person.',
};

export function roleInGroup(atLeast: GroupRole): Rule {
  return {
    name: `role_${atLeast}_in_the_group`,
    description: `This takes the role ${atLeast} in the group, or a higher one.`,
    decide: ({ role }) => refuseIf(!hasRank(role, atLeast)),
    code: 'forbidden',
    message: `This takes the role ${atLeast} in the group.`,
  };
}
