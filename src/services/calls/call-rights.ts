import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock, type Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import { userIdsOfDirectKey } from '../../models/channels/direct-message.model';
import type { Caller } from '../../models/identity/session.model';
import type { VideoCallDocument } from '../../models/video-call.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { SessionService } from '../identity/session.service';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { CallStore } from './call-store';
import { forEach } from './for-each';

/** The dependencies of CallRights. */
export interface CallRightsDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  rights: RightsVersion;
  sessions: Pick<SessionService, 'reauthenticate'>;
  store: CallStore;
  bus: EventBus;
}

/**
 * Takes users out of calls in which they may no longer be, before the call that took the right away returns: events of
 * removals, bans, mutes, blocks, suspensions and log-outs are awaited by those who publish them.
 */
export class CallRights {
  constructor(private readonly deps: CallRightsDeps) {
    deps.bus.subscribe((event) => {
      const affected = callsAffectedBy(event);
      // Most events are new messages, which cost no promise here.
      return affected || event.type === 'session.revoked' ? this.handle(event, affected) : undefined;
    }, 'publisher');
  }

  /**
   * Runs the entry of a caller into a call, and takes them out again if a right was revoked meanwhile that is not locked:
   * an account in a larger conversation or, on a database without transactions, any right.
   * @throws AppError session_revoked, not_in_call, and the errors of `enter`
   */
  async guardEntry(caller: Caller, enter: () => Promise<VideoCallDocument>): Promise<VideoCallDocument> {
    const { rights, sessions, transactions } = this.deps;
    const { current } = rights;
    // A transaction of the caller, such as that of an idempotency key, may read what was valid before this.
    const readsOlder = transactions.settled() !== undefined;
    // The session may have ended after the caller was authenticated, and before changes of rights are counted.
    await transactions.outside(() => sessions.reauthenticate(caller));
    const call = await enter();
    await transactions.afterCommit(async () => {
      if (readsOlder || rights.current !== current) await this.recheckEntry(caller, call._id);
    });
    return call;
  }

  /**
   * Locks what the right of a caller to enter a call rests on besides the channel, until the end of the transaction: their
   * session, and in a conversation of two both accounts, which a block locks as well. So either this entry runs again and
   * is refused, or whoever takes the right away finds the caller in the call.
   * @throws AppError session_revoked
   */
  async lockEntry({ sessionId }: Caller, { directKey }: ChannelDocument): Promise<void> {
    const { sessions, users } = this.deps.collections;
    const session = await lock(sessions, { _id: sessionId, revokedAt: null });
    if (!session) throw new AppError('session_revoked', 'The session has ended.');
    if (directKey === undefined) return;
    for (const _id of userIdsOfDirectKey(directKey)) await lock(users, { _id });
  }

  /**
   * Removes the participants of an open call who may no longer be in it.
   * @returns the users who were removed.
   */
  async recheck({ _id, channelId, participants }: VideoCallDocument): Promise<ObjectId[]> {
    const userIds = participants
      .filter(({ state }) => state === 'joined' || state === 'ringing')
      .map(({ userId }) => userId);
    const allowed = new Set((await this.allowedIn(channelId, userIds)).map((id) => id.toHexString()));
    const refused = userIds.filter((id) => !allowed.has(id.toHexString()));
    if (refused.length > 0) await this.deps.store.apply(_id, { type: 'remove', userIds: refused });
    return refused;
  }

  /** Returns those of some users who may join the calls of a channel. */
  async allowedIn(channelId: ObjectId, userIds: ObjectId[]): Promise<ObjectId[]> {
    const { channels, users } = this.deps.collections;
    const channel = await channels.findOne({ _id: channelId });
    if (!channel) return [];
    const found = await users
      .find({ _id: { $in: userIds } }, { projection: { role: 1, state: 1 } })
      .toArray();
    const actors = found.map(({ _id, role, state }) => ({ id: _id, role, state }));
    const decisions = await this.deps.access.decideForUsers(channel, 'call.join', actors);
    const allowed = actors.filter((_, index) => decisions[index]!.decision.allowed);
    return userIds.filter((userId) => allowed.some(({ id }) => id.equals(userId)));
  }

  private async recheckEntry(caller: Caller, callId: ObjectId): Promise<void> {
    const { userId, sessionId } = caller;
    try {
      await this.deps.sessions.reauthenticate(caller);
    } catch (error) {
      await this.leave(callId, userId, sessionId);
      throw error;
    }
    const removed = await this.recheck(await this.deps.store.get(callId));
    if (removed.some((id) => id.equals(userId))) {
      throw new AppError('not_in_call', 'You may no longer be in this call.');
    }
  }

  private async handle(event: DomainEvent, affected: Filter<VideoCallDocument> | undefined): Promise<void> {
    const { videoCalls } = this.deps.collections;
    if (event.type === 'session.revoked') {
      const call = await videoCalls.findOne({ inCall: event.userId });
      if (call) await this.leave(call._id, event.userId, event.sessionId);
    }
    if (!affected) return;
    const calls = await videoCalls.find({ open: true, ...affected }).toArray();
    await forEach(calls, (call) => this.recheck(call));
  }

  /** Takes a user out of a call if they are in it with this session. */
  private async leave(callId: ObjectId, userId: ObjectId, sessionId: ObjectId): Promise<void> {
    try {
      await this.deps.store.apply(callId, { type: 'leave', userId, sessionId });
    } catch (error) {
      // They have left in the meantime.
      if (!(error instanceof AppError)) throw error;
    }
  }
}

/** The open calls of which a participant may have lost a right by an event; undefined if there are none. */
function callsAffectedBy(event: DomainEvent): Filter<VideoCallDocument> | undefined {
  switch (event.type) {
    case 'member.removed':
      return { groupId: event.groupId, 'participants.userId': event.userId };
    case 'group.updated':
      return event.group.archivedAt ? { groupId: event.group._id } : undefined;
    case 'group.deleted':
      return { groupId: event.groupId };
    case 'channel.updated':
      return event.channel.archivedAt ? { channelId: event.channel._id } : undefined;
    case 'channel.closed':
      return { channelId: event.channelId };
    case 'channel.deleted':
      return { channelId: event.channel._id };
    case 'channel_member.removed':
      // Those who stay may be a conversation of two now, of whom one has blocked the other.
      return { channelId: event.channel._id };
    case 'channel_ban.added':
      return { channelId: event.channelId, 'participants.userId': event.userId };
    case 'channel_restriction.set': {
      const { channelId, userId } = event.restriction;
      return { channelId, 'participants.userId': userId };
    }
    case 'block.changed':
      return { 'participants.userId': { $all: [event.userId, event.blockedId] } };
    case 'user.changed':
      return { 'participants.userId': event.userId };
    default:
      return undefined;
  }
}
