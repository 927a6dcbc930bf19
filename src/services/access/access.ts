import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument, RestrictionKind } from '../../models/channel.model';
import type { GroupDocument, GroupRole, MembershipDocument } from '../../models/group.model';
import type { MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import type { UserDocument } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import {
  decide,
  type Action,
  type ChannelAction,
  type Decision,
  type GroupAction,
  type MessageAction,
  type UserAction,
  type ServerAction,
} from './access-actions';
import type { AccessFacts, AccessOptions } from './access-facts';
import type { Actor, Facts } from './access-rules';
import type { AuditService } from '../audit/audit.service';
import type { ChannelAudience } from '../kernel/domain-events';
import { ReadAccess } from './read-access';

/** A group, and the caller's membership. */
export interface GroupAccess {
  group: GroupDocument;
  membership: MembershipDocument | null;
}

/** A channel, the caller's role in its group, and their restriction in the channel. */
export interface ChannelAccess {
  channel: ChannelDocument;
  /** Null in direct messages, and for a super admin who is not a member of the group. */
  role: GroupRole | null;
  restriction: RestrictionKind | null;
}

/** A message and its channel. */
export interface MessageAccess extends ChannelAccess {
  message: MessageDocument;
}

/**
 * Decides who may do what, what a user may read, and who reads a channel. Nothing else decides this. It loads the facts,
 * and the rules in access-rules.ts decide by them. A resource that the caller may not know of causes `not_found`, never
 * `forbidden`. When a super admin passes a rule that refuses others, the audit log records it first.
 */
export class Access extends ReadAccess {
  constructor(
    collections: Collections,
    facts: AccessFacts,
    private readonly audit: AuditService,
    private readonly groupCreation: NonNullable<Facts['groupCreation']>,
  ) {
    super(collections, facts);
  }

  /** @throws AppError forbidden */
  requireServer(caller: Caller, action: ServerAction): void {
    const decision = decide(action, { user: actorOf(caller), groupCreation: this.groupCreation });
    if (!decision.allowed) throw refusalError(decision);
  }

  /** @throws AppError forbidden */
  requireSuperAdmin(caller: Caller): void {
    this.requireServer(caller, 'server.administer');
  }

  /** Requires that the caller may do something that affects a user. @throws AppError not_found, forbidden */
  async user(caller: Caller, action: UserAction, userId: ObjectId | string): Promise<void> {
    const _id = new ObjectId(userId);
    const [facts, user] = await Promise.all([
      this.facts.user(actorOf(caller), _id),
      this.collections.users.findOne({ _id }, { projection: { _id: 1 } }),
    ]);
    if (!user) throw new AppError('not_found', 'There is no such user.');
    await this.require(caller, action, facts, 'user', _id);
  }

  /** Whether the caller is a super admin. Use it to show them more, and `requireServer` to decide what they may do. */
  isSuperAdmin(caller: Caller): boolean {
    return decide('server.administer', { user: actorOf(caller) }).allowed;
  }

  /**
   * Requires that the caller may write to a user directly, or add them to a conversation of several people.
   * @throws AppError not_found, direct_messages_closed, consent_required
   */
  async requireDirect(
    caller: Caller,
    action: 'direct.start' | 'direct.add',
    other: UserDocument | undefined,
  ): Promise<void> {
    if (!other || other.state === 'deleted') throw new AppError('not_found', 'There is no such user.');
    const facts = await this.directFacts(actorOf(caller), other._id);
    const decision = decide(action, facts);
    if (!decision.allowed) throw refusalError(decision);
  }

  /**
   * Requires that the caller may do something with a group.
   * @throws AppError not_found, not_a_member, forbidden, banned, group_archived, approval_required
   */
  async group(
    caller: Caller,
    action: GroupAction,
    groupId: ObjectId | string,
    options: AccessOptions = {},
  ): Promise<GroupAccess> {
    const _id = new ObjectId(groupId);
    if (options.lock) await this.facts.lockGroup(_id, involvedUsers(caller, options));
    const { facts, membership } = await this.facts.group(actorOf(caller), _id, options);
    if (!facts.group) throw new AppError('not_found', 'There is no such group.');
    await this.require(caller, action, facts, 'group', _id, options);
    return { group: facts.group, membership };
  }

  /**
   * Requires that the caller may do something with a channel.
   * @throws AppError not_found, forbidden, group_archived, channel_archived, direct_channel, muted, …
   */
  async channel(
    caller: Caller,
    action: ChannelAction,
    channelId: ObjectId | string,
    options: AccessOptions = {},
  ): Promise<ChannelAccess> {
    const _id = new ObjectId(channelId);
    const found = await this.collections.channels.findOne({ _id });
    if (found && options.lock) await this.facts.lockChannel(found, involvedUsers(caller, options));
    const channel = found && options.lock ? await this.collections.channels.findOne({ _id }) : found;
    const [facts] = await this.facts.channel(channel ?? missingChannel(_id), [actorOf(caller)], options);
    if (!channel) throw channelNotFound();
    await this.require(caller, action, facts!, 'channel', _id, options);
    return { channel, role: facts!.role ?? null, restriction: facts!.restriction ?? null };
  }

  /** Requires that the caller may do something with a message. @throws AppError not_found, forbidden, … */
  async message(caller: Caller, action: MessageAction, messageId: ObjectId | string): Promise<MessageAccess> {
    const _id = new ObjectId(messageId);
    const message = await this.collections.messages.findOne({ _id });
    const channel = await this.collections.channels.findOne({ _id: message?.channelId ?? _id });
    const [facts] = await this.facts.channel(channel ?? missingChannel(_id), [actorOf(caller)], {});
    if (!message || !channel) throw new AppError('not_found', 'There is no such message.');
    await this.require(caller, action, { ...facts!, message }, 'message', message._id);
    return { message, channel, role: facts!.role ?? null, restriction: facts!.restriction ?? null };
  }

  /**
   * Decides for several users at once whether they may do something with a channel, in their order. The caller applies
   * the decisions immediately, and calls `recordOverride` where only a super admin was allowed to.
   */
  async decideForUsers(
    channel: ChannelDocument,
    action: ChannelAction,
    actors: Actor[],
  ): Promise<{ decision: Decision; role: GroupRole | null }[]> {
    const facts = await this.facts.channel(channel, actors, {});
    return facts.map((those) => ({ decision: decide(action, those), role: those.role ?? null }));
  }

  /**
   * Whether it is known, without a query, that all of these users may do something with a channel by ordinary rules. If
   * not, `decideForUsers` decides.
   */
  isKnownToAllow(channel: ChannelDocument, action: ChannelAction, actors: readonly Actor[]): boolean {
    const facts = this.facts.rememberedChannel(channel, actors);
    if (!facts) return false;
    return facts.every((those) => {
      const decision = decide(action, those);
      return decision.allowed && !decision.overrides;
    });
  }

  /**
   * Explains how an action of a user would be decided, without doing anything.
   * @param on the resource of the action; undefined for an action on the server or on a user.
   * @returns undefined if there is no such resource.
   */
  async explain(
    user: Actor,
    action: Action,
    on: { kind: 'group' | 'channel' | 'message'; id: ObjectId } | undefined,
    options: AccessOptions = {},
  ): Promise<{ decision: Decision; facts: Facts } | undefined> {
    const facts = await this.factsOn(user, on, options);
    return facts && { decision: decide(action, facts), facts };
  }

  private async require(
    caller: Caller,
    action: Action,
    facts: Facts,
    kind: 'user' | 'group' | 'channel' | 'message',
    targetId: ObjectId,
    { preliminary = false }: AccessOptions = {},
  ): Promise<void> {
    const decision = decide(action, facts);
    if (!decision.allowed) throw refusalError(decision);
    if (decision.overrides && !preliminary) await this.recordOverride(caller, action, kind, targetId);
  }

  /** Records in the audit log that a super admin did something that another user in their place may not do. */
  async recordOverride(
    { userId, address }: Pick<Caller, 'userId' | 'address'>,
    action: Action,
    kind: 'user' | 'group' | 'channel' | 'message',
    targetId: ObjectId,
  ): Promise<void> {
    await this.audit.record({
      action: 'super_admin.entered',
      actorId: userId,
      targetId,
      address,
      details: { kind, action },
    });
  }

  private async directFacts(user: Actor, otherId: ObjectId): Promise<Facts> {
    const [between, contact] = await Promise.all([
      this.facts.directFactsBetween(user.id, otherId),
      this.facts.consentFacts(user.id, otherId),
    ]);
    return { user, ...between, ...contact };
  }

  private async factsOn(
    user: Actor,
    on: { kind: 'group' | 'channel' | 'message'; id: ObjectId } | undefined,
    options: AccessOptions,
  ): Promise<Facts | undefined> {
    if (!on) {
      const { subjectId } = options;
      const aboutPerson = subjectId && (await this.facts.user(user, subjectId));
      const direct = subjectId && (await this.directFacts(user, subjectId));
      return { ...aboutPerson, ...direct, user, groupCreation: this.groupCreation };
    }
    if (on.kind === 'group') {
      const { facts } = await this.facts.group(user, on.id, options);
      return facts.group ? facts : undefined;
    }
    const message =
      on.kind === 'message' ? await this.collections.messages.findOne({ _id: on.id }) : undefined;
    const channelId = on.kind === 'message' ? message?.channelId : on.id;
    const channel = channelId && (await this.collections.channels.findOne({ _id: channelId }));
    if (!channel) return undefined;
    const [facts] = await this.facts.channel(channel, [user], options);
    return { ...facts!, ...(message && { message }) };
  }
}

/**
 * A placeholder for a channel that does not exist. Facts are loaded for it as well, so that the response time does not
 * reveal whether a hidden channel exists.
 */
function missingChannel(_id: ObjectId): ChannelDocument {
  const never = new Date(0);
  return {
    _id,
    kind: 'group',
    groupId: _id,
    name: '',
    topic: '',
    visibility: 'private',
    createdBy: _id,
    position: 0,
    slowModeSeconds: 0,
    announcementOnly: false,
    archivedAt: null,
    memberCount: 0,
    seq: 0,
    mainSeq: 0,
    revision: 0,
    createdAt: never,
    updatedAt: never,
  };
}

/** The users whose memberships a decision depends on. */
function involvedUsers({ userId }: Caller, { subjectId }: AccessOptions): ObjectId[] {
  return subjectId && !subjectId.equals(userId) ? [userId, subjectId] : [userId];
}

/** The caller as an actor. Only callers with an active account reach a service. */
export function actorOf({ userId, role }: Caller): Actor {
  return { id: userId, role, state: 'active' };
}

export function refusalError({ code, message }: Decision & { allowed: false }): AppError {
  return new AppError(code, message);
}

/** The audience of a channel: those who receive its events. */
export function audienceOfChannel({ _id, groupId, visibility }: ChannelDocument): ChannelAudience {
  return visibility === 'public' && groupId
    ? { kind: 'public_channel', groupId, channelId: _id }
    : { kind: 'channel', channelId: _id };
}

export function channelNotFound(): AppError {
  return new AppError('not_found', 'There is no such channel.');
}
