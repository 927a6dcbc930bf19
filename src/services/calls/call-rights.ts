import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Caller } from '../../models/identity/session.model';
import type { VideoCallDocument } from '../../models/video-call.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { SessionService } from '../identity/session.service';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { CallStore } from './call-store';

/** The dependencies of CallRights. */
export interface CallRightsDeps {
  collections: Collections;
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
    deps.bus.subscribe((event) => this.handle(event), 'after');
  }

  /**
   * Runs the entry of a caller into a call, and removes them again if a right that is not locked was revoked meanwhile,
   * such as their session.
   */
  async guardEntry(caller: Caller, enter: () => Promise<VideoCallDocument>): Promise<VideoCallDocument> {
    const { current } = this.deps.rights;
    const call = await enter();
    if (this.deps.rights.current === current) return call;
    try {
      await this.deps.sessions.reauthenticate(caller);
    } catch (error) {
      await this.deps.store.apply(call._id, { type: 'leave', userId: caller.userId });
      throw error;
    }
    await this.recheck(await this.deps.store.get(call._id));
    return call;
  }

  /** Removes the participants of an open call who may no longer be in it. */
  async recheck({ _id, channelId, participants }: VideoCallDocument): Promise<void> {
    const userIds = participants
      .filter(({ state }) => state === 'joined' || state === 'ringing')
      .map(({ userId }) => userId);
    const allowed = new Set((await this.allowedIn(channelId, userIds)).map((id) => id.toHexString()));
    const refused = userIds.filter((id) => !allowed.has(id.toHexString()));
    if (refused.length > 0) await this.deps.store.apply(_id, { type: 'remove', userIds: refused });
  }

  private async allowedIn(channelId: ObjectId, userIds: ObjectId[]): Promise<ObjectId[]> {
    const { channels, users } = this.deps.collections;
    const channel = await channels.findOne({ _id: channelId });
    if (!channel) return [];
    const found = await users
      .find({ _id: { $in: userIds } }, { projection: { role: 1, state: 1 } })
      .toArray();
    const actors = found.map(({ _id, role, state }) => ({ id: _id, role, state }));
    const decisions = await this.deps.access.decideForUsers(channel, 'call.join', actors);
    return actors.filter((_, index) => decisions[index]!.decision.allowed).map(({ id }) => id);
  }

  private async handle(event: DomainEvent): Promise<void> {
    if (event.type === 'session.revoked') await this.leaveBySession(event);
    const affected = callsAffectedBy(event);
    if (!affected) return;
    const { videoCalls } = this.deps.collections;
    for (const call of await videoCalls.find({ open: true, ...affected }).toArray()) await this.recheck(call);
  }

  private async leaveBySession({ userId, sessionId }: { userId: ObjectId; sessionId: ObjectId }) {
    const call = await this.deps.collections.videoCalls.findOne({ inCall: userId });
    if (!call) return;
    await this.deps.store.apply(call._id, { type: 'leave', userId, sessionId }).catch((error: unknown) => {
      // They have left in the meantime.
      if (!(error instanceof AppError)) throw error;
    });
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
      return { channelId: event.channel._id, 'participants.userId': event.userId };
    case 'channel_ban.added':
      return { channelId: event.channelId, 'participants.userId': event.userId };
    case 'channel_restriction.set': {
      const { channelId, userId } = event.restriction;
      return { channelId, 'participants.userId': userId };
    }
    case 'block.changed':
      return { pair: true, 'participants.userId': { $all: [event.userId, event.blockedId] } };
    case 'user.changed':
      return { 'participants.userId': event.userId };
    default:
      return undefined;
  }
}
