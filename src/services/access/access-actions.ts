import type { GroupRole } from '../../models/group.model';
import type { ErrorCode } from '../../utils/errors';
import {
  accountActive,
  announcementsByModerators,
  author,
  authorOnly,
  callHidden,
  channelHidden,
  channelInGroup,
  channelNotArchived,
  channelOwner,
  directOnly,
  givesLesserRole,
  groupHidden,
  groupMembersOnly,
  groupNotArchived,
  joinedAlready,
  joinNeedsApproval,
  groupNotOpen,
  mayCreateGroups,
  messageHidden,
  moderatorsInGroups,
  notBannedFromGroup,
  notBlocked,
  notForwarded,
  notMemberYet,
  notMuted,
  notOfCall,
  selfAllowed,
  outranksSubject,
  notDirectPair,
  partnerConsents,
  partnerAvailable,
  reportHidden,
  roleInGroup,
  sharedGroupOrConversation,
  stepsDown,
  subjectConsents,
  subjectHasNotBlocked,
  subjectNotBanned,
  superAdminsOnly,
  type Facts,
  type Rule,
} from './access-rules';

/** The decision on an action: the rule that decided it, its description, and the error of a refusal. */
export type Decision =
  | { allowed: true; rule: string; description: string; overrides?: string }
  | { allowed: false; rule: string; description: string; code: ErrorCode; message: string };

/** The rules of actions that require a role in a group. */
const inGroup = (atLeast: GroupRole): Rule[] =>
  atLeast === 'member'
    ? [groupHidden, groupMembersOnly]
    : [groupHidden, groupMembersOnly, roleInGroup(atLeast)];

/** The same, while the group is not archived. An archived group refuses the action. */
const inActiveGroup = (atLeast: GroupRole): Rule[] => [
  groupHidden,
  groupMembersOnly,
  groupNotArchived,
  roleInGroup(atLeast),
];

/** The rules of actions that are for the owner of a channel, and for admins of its group. */
const channelAdmins = [channelOwner, roleInGroup('admin')];

const SERVER_RULES = {
  'server.administer': [superAdminsOnly],
  'group.create': [mayCreateGroups],
} satisfies Record<string, Rule[]>;

const USER_RULES = {
  'presence.read': [selfAllowed, sharedGroupOrConversation],
  'direct.start': [partnerAvailable, notBlocked],
  'direct.add': [partnerAvailable, notBlocked, partnerConsents],
} satisfies Record<string, Rule[]>;

const GROUP_RULES = {
  'group.read': [groupHidden],
  'group.join': [groupHidden, joinedAlready, notBannedFromGroup, groupNotArchived, joinNeedsApproval],
  'group.request_to_join': [groupHidden, notMemberYet, notBannedFromGroup, groupNotArchived, groupNotOpen],
  'group.accept_invite': [joinedAlready, notBannedFromGroup, groupNotArchived],
  'group.list_members': inGroup('member'),
  'group.update': inActiveGroup('admin'),
  'group.archive': inGroup('owner'),
  'group.delete': inGroup('owner'),
  'group.transfer': inActiveGroup('owner'),
  'group.list_channels': inGroup('member'),
  'group.create_channel': inActiveGroup('admin'),
  'group.arrange_channels': inActiveGroup('admin'),
  'group.moderate': inGroup('moderator'),
  /** Transfers a group to a user who is not a member of it. */
  'group.hand_over': [subjectHasNotBlocked, subjectConsents, superAdminsOnly],
  'member.add': [...inActiveGroup('admin'), subjectNotBanned, subjectHasNotBlocked, subjectConsents],
  'member.remove': [...inGroup('admin'), outranksSubject],
  'member.change_role': [
    groupHidden,
    groupMembersOnly,
    groupNotArchived,
    stepsDown,
    roleInGroup('admin'),
    outranksSubject,
    givesLesserRole,
  ],
  'member.ban': [...inGroup('moderator'), outranksSubject],
  'member.unban': inGroup('moderator'),
  'invite.create': [...inActiveGroup('admin'), givesLesserRole, subjectNotBanned],
  'invite.manage': inGroup('admin'),
  'join_request.list': inGroup('admin'),
  'join_request.approve': [...inActiveGroup('admin'), subjectNotBanned],
  'join_request.reject': inGroup('admin'),
} satisfies Record<string, Rule[]>;

const CHANNEL_RULES = {
  'channel.read': [channelHidden],
  'channel.update': [channelHidden, channelInGroup, groupNotArchived, channelNotArchived, ...channelAdmins],
  'channel.set_retention': [
    channelHidden,
    channelInGroup,
    groupNotArchived,
    channelNotArchived,
    roleInGroup('admin'),
  ],
  'channel.archive': [channelHidden, channelInGroup, groupNotArchived, ...channelAdmins],
  'channel.transfer': [channelHidden, channelInGroup, groupNotArchived, ...channelAdmins],
  'channel.delete': [channelHidden, channelInGroup, ...channelAdmins],
  'channel.manage_members': [
    channelHidden,
    channelInGroup,
    groupNotArchived,
    channelNotArchived,
    ...channelAdmins,
  ],
  'channel.leave': [channelHidden, notDirectPair],
  'channel.add_people': [channelHidden, directOnly],
  'channel.moderate': [channelHidden, channelInGroup, roleInGroup('moderator'), outranksSubject],
  'report.handle': [reportHidden],
  'message.send': [
    channelHidden,
    groupNotArchived,
    channelNotArchived,
    partnerAvailable,
    notBlocked,
    notMuted,
    announcementsByModerators,
  ],
  'message.mention_everyone': [channelHidden, moderatorsInGroups],
  'call.start': [
    callHidden,
    groupNotArchived,
    channelNotArchived,
    partnerAvailable,
    notBlocked,
    notMuted,
    announcementsByModerators,
  ],
  'call.join': [callHidden, groupNotArchived, channelNotArchived, partnerAvailable, notBlocked, notMuted],
  'call.end': [channelHidden, channelInGroup, roleInGroup('moderator')],
} satisfies Record<string, Rule[]>;

const MESSAGE_RULES = {
  'message.read': [messageHidden],
  'message.edit': [
    messageHidden,
    groupNotArchived,
    channelNotArchived,
    notBlocked,
    notMuted,
    announcementsByModerators,
    notForwarded,
    notOfCall,
    authorOnly,
  ],
  /** Forwarding it to another channel, where `message.send` is decided. */
  'message.forward': [messageHidden, notOfCall],
  'message.delete': [messageHidden, groupNotArchived, channelNotArchived, author, roleInGroup('moderator')],
  'message.react': [
    messageHidden,
    groupNotArchived,
    channelNotArchived,
    notBlocked,
    notMuted,
    announcementsByModerators,
  ],
  'message.pin': [
    messageHidden,
    groupNotArchived,
    channelNotArchived,
    notBlocked,
    notMuted,
    moderatorsInGroups,
  ],
  'message.read_edits': [messageHidden, channelInGroup, roleInGroup('moderator')],
  'message.report': [messageHidden],
} satisfies Record<string, Rule[]>;

export type ServerAction = keyof typeof SERVER_RULES;
export type UserAction = keyof typeof USER_RULES;
export type GroupAction = keyof typeof GROUP_RULES;
export type ChannelAction = keyof typeof CHANNEL_RULES;
export type MessageAction = keyof typeof MESSAGE_RULES;
export type Action = ServerAction | UserAction | GroupAction | ChannelAction | MessageAction;

/** The actions by the type of their resource. Actions on a user have no resource: `explain` takes the user as subject. */
export const ACTIONS_ON = {
  server: Object.keys({ ...SERVER_RULES, ...USER_RULES }) as (ServerAction | UserAction)[],
  group: Object.keys(GROUP_RULES) as GroupAction[],
  channel: Object.keys(CHANNEL_RULES) as ChannelAction[],
  message: Object.keys(MESSAGE_RULES) as MessageAction[],
};

const RULES: Record<Action, Rule[]> = {
  ...SERVER_RULES,
  ...USER_RULES,
  ...GROUP_RULES,
  ...CHANNEL_RULES,
  ...MESSAGE_RULES,
};

/**
 * Evaluates the rules of an action in their order: the first rule that allows or refuses decides. If no rule refuses, the
 * action is allowed. A super admin passes every rule that is not absolute.
 */
export function decide(action: Action, facts: Facts): Decision {
  const isSuperAdmin = facts.user.role === 'super_admin';
  let overridden: Rule | undefined;
  let last = accountActive;
  for (const rule of [accountActive, ...RULES[action]]) {
    last = rule;
    const verdict = rule.decide(facts);
    if (verdict === 'allow') return allowed(rule, overridden);
    if (verdict !== 'refuse') continue;
    if (!isSuperAdmin || rule.absolute) {
      return {
        allowed: false,
        rule: rule.name,
        description: rule.description,
        code: rule.code,
        message: rule.message,
      };
    }
    overridden ??= rule;
  }
  return allowed(last, overridden);
}

function allowed({ name, description }: Rule, overridden: Rule | undefined): Decision {
  if (!overridden) return { allowed: true, rule: name, description };
  return {
    allowed: true,
    rule: 'super_admin',
    description: 'A super admin may do everything. The audit log records it.',
    overrides: overridden.name,
  };
}
