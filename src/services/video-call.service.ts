import { randomBytes } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { duplicateIndex } from '../db/mongodb';
import type { Transactions } from '../db/transaction';
import type { ChannelDocument } from '../models/channel.model';
import { MAX_PARTICIPANTS } from '../models/channels/direct-message.model';
import type { Caller } from '../models/identity/session.model';
import {
  toCall,
  type Call,
  type CallConnection,
  type EnterCallInput,
  type InviteToCallInput,
  type SetCallMediaInput,
  type StartCallInput,
  type VideoCallDocument,
} from '../models/video-call.model';
import { AppError } from '../utils/errors';
import type { Access } from './access/access';
import type { GuardedWrites } from './access/guarded-writes';
import type { CallAdministration } from './calls/call-administration';
import type { CallConnections } from './calls/call-connections';
import { participantOf } from './calls/call-changes';
import type { CallEvent, Device } from './calls/call-events';
import type { CallHistory } from './calls/call-history';
import type { CallRights } from './calls/call-rights';
import { alreadyInCall, type CallStore } from './calls/call-store';
import type { CallTickets } from './calls/call-tickets';
import type { IceServers } from './calls/ice-servers';
import type { DirectMessageService } from './channels/direct-message.service';
import type { ThrottleService } from './operations/throttle.service';
import type { Blocks } from './users/blocks';

/** A call, and what the caller's device needs to connect to it. */
export interface EnteredCall {
  call: Call;
  connection: CallConnection;
}

/** Counts a call to some users. @throws AppError rate_limited */
type CountCall = (called: readonly ObjectId[]) => Promise<void>;

/** The dependencies of VideoCallService. */
export interface VideoCallServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  writes: GuardedWrites;
  blocks: Blocks;
  directMessages: DirectMessageService;
  store: CallStore;
  history: CallHistory;
  administration: CallAdministration;
  connections: CallConnections;
  rights: CallRights;
  tickets: CallTickets;
  ice: IceServers;
  throttle: Pick<ThrottleService, 'countVideoCall'>;
}

/**
 * Starts calls and changes them on behalf of users: decides who may, and applies the event to the state machine
 * (calls/call-machine.ts). Entering a call is decided in a transaction that locks what the decision rests on, so that
 * nobody comes in who has just lost access.
 *
 * `socketId` is the socket by which the caller enters. Without one, over REST, it is a socket of the caller's session.
 */
export class VideoCallService {
  constructor(private readonly deps: VideoCallServiceDeps) {}

  /**
   * Starts a call in a channel, or enters the one that is open: when two people call each other at the same moment, both
   * are in one call.
   * @throws AppError not_found, direct_messages_closed, muted, already_in_call, call_full, rate_limited, …
   */
  async start(
    caller: Caller,
    { userId, channelId, userIds, media }: StartCallInput,
    socketId?: string,
  ): Promise<{ call: Call; created: boolean; connection: CallConnection | null }> {
    const inChannel = channelId ?? (await this.conversationWith(caller, userId!));
    const countCall = this.countOnce(caller);
    for (;;) {
      try {
        let created = false;
        const call = await this.guarded(caller, 'call.start', inChannel, async (channel) => {
          const open = await this.deps.store.openIn(channel._id);
          created = !open;
          if (!open) return this.create(caller, channel, { userIds, media, countCall }, socketId);
          const type = participantOf(open, caller.userId)?.state === 'ringing' ? 'accept' : 'join';
          return this.enter(caller, open, type, {}, socketId);
        });
        const connection = call.state === 'ended' ? null : this.connectionOf(call, caller);
        return { call: toCall(call), created, connection };
      } catch (error) {
        // Another node has just started a call in this channel, which only a database without transactions permits: in a
        // transaction, the lock on the channel has made this one run again.
        if (duplicateIndex(error) !== 'channel_open_unique' || this.deps.transactions.supported) throw error;
      }
    }
  }

  /**
   * Answers a call on this device. It stops ringing on the others.
   * @throws AppError not_found, not_ringing, answered_elsewhere, already_in_call, call_full, call_ended, …
   */
  accept(caller: Caller, callId: string, input: EnterCallInput, socketId?: string): Promise<EnteredCall> {
    return this.guardedEnter(caller, callId, 'accept', input, socketId);
  }

  /**
   * Joins a call of a channel, resumes it after a disconnection, or moves it to this device.
   * @throws AppError not_found, already_in_call, call_full, call_ended, …
   */
  join(caller: Caller, callId: string, input: EnterCallInput, socketId?: string): Promise<EnteredCall> {
    return this.guardedEnter(caller, callId, 'join', input, socketId);
  }

  /** Refuses a call on all devices. @throws AppError not_found, not_ringing, call_ended */
  decline(caller: Caller, callId: string): Promise<Call> {
    return this.applyAsParticipant(caller, callId, { type: 'decline', userId: caller.userId });
  }

  /** Withdraws a call that nobody has answered. @throws AppError not_found, forbidden, call_answered, call_ended */
  cancel(caller: Caller, callId: string): Promise<Call> {
    return this.applyAsParticipant(caller, callId, { type: 'cancel', userId: caller.userId });
  }

  /** Leaves a call. Repeating it has no effect. @throws AppError not_found, not_in_call */
  leave(caller: Caller, callId: string): Promise<Call> {
    return this.applyAsParticipant(caller, callId, { type: 'leave', userId: caller.userId });
  }

  /**
   * Ends a call for everybody. Either person of a conversation of two may do it, the user who started the call, and
   * moderators of the group; what they do is in the audit log.
   * @throws AppError not_found, forbidden, direct_channel
   */
  async end(caller: Caller, callId: string): Promise<Call> {
    const call = await this.find(caller, callId);
    const isOwn = call.startedBy.equals(caller.userId) || (call.pair && participantOf(call, caller.userId));
    if (!isOwn) {
      await this.deps.access.channel(caller, 'call.end', call.channelId);
      return this.deps.administration.endAudited(caller, call._id, 'ended_for_all', null);
    }
    const event = { type: 'end', userId: caller.userId, reason: 'ended_for_all' } as const;
    return toCall(await this.deps.store.apply(call._id, event));
  }

  /**
   * Calls further people: readers of the channel, or anybody to whom the caller may write if it is a call of two. Such a call
   * goes on in a new conversation with all of them. Those who have blocked the caller are not called.
   * @throws AppError not_found, not_in_call, call_full, call_ended, direct_messages_closed, consent_required, rate_limited, …
   */
  async invite(caller: Caller, callId: string, { userIds }: InviteToCallInput): Promise<Call> {
    const call = await this.find(caller, callId);
    await this.deps.throttle.countVideoCall(caller.userId.toHexString(), [...new Set(userIds)]);
    const isNew = (id: string) => !participantOf(call, new ObjectId(id));
    if (call.pair && userIds.some(isNew)) return this.inviteToPair(caller, call, userIds.filter(isNew));
    const invited = await this.inGuardedChannel(caller, call.channelId, userIds, (called) =>
      this.deps.store.apply(call._id, { type: 'invite', userId: caller.userId, ...called }),
    );
    return toCall(invited);
  }

  /** Tells the others what the caller sends and shows. @throws AppError not_found, not_in_call, call_ended */
  setMedia(caller: Caller, callId: string, changes: SetCallMediaInput): Promise<Call> {
    return this.applyAsParticipant(caller, callId, { type: 'set_media', userId: caller.userId, changes });
  }

  /** Returns a call of a channel that the caller may read. @throws AppError not_found */
  async get(caller: Caller, callId: string): Promise<Call> {
    return toCall(await this.find(caller, callId));
  }

  /** Moves a call of two to a new conversation with further people, and calls them. */
  private async inviteToPair(caller: Caller, call: VideoCallDocument, userIds: string[]): Promise<Call> {
    if (participantOf(call, caller.userId)?.state !== 'joined' || call.state === 'ended') {
      throw new AppError('not_in_call', 'You are not in this call.');
    }
    const moved = await this.deps.transactions.run(async () => {
      const { conversation } = await this.deps.directMessages.add(caller, call.channelId.toHexString(), {
        userIds,
      });
      const channelId = new ObjectId(conversation.channel.id);
      return this.inGuardedChannel(caller, channelId, userIds, (called) =>
        this.deps.store.apply(call._id, { type: 'move', userId: caller.userId, channelId, ...called }),
      );
    });
    return toCall(moved);
  }

  /** Runs work with the readers of a channel whom a participant calls, under the locks of the channel. */
  private inGuardedChannel(
    caller: Caller,
    channelId: ObjectId,
    userIds: string[],
    work: (called: { userIds: ObjectId[]; busy: ObjectId[] }) => Promise<VideoCallDocument>,
  ): Promise<VideoCallDocument> {
    return this.deps.writes.inChannel(caller, 'call.join', channelId, {}, async ({ channel }) => {
      const readers = await this.requireReaders(channel, userIds);
      const called = await this.callable(caller, channel, readers);
      return work({ userIds: called, busy: await this.deps.store.findBusy(called) });
    });
  }

  /** Counts the call of one request once, even if its transaction runs several times. */
  private countOnce({ userId }: Caller): CountCall {
    let counted: Promise<void> | undefined;
    return (called) =>
      (counted ??= this.deps.throttle.countVideoCall(
        userId.toHexString(),
        called.map((id) => id.toHexString()),
      ));
  }

  private async conversationWith(caller: Caller, userId: string): Promise<string> {
    const { conversation } = await this.deps.directMessages.start(caller, { userIds: [userId] });
    return conversation.channel.id;
  }

  private async guardedEnter(
    caller: Caller,
    callId: string,
    type: 'accept' | 'join',
    input: EnterCallInput,
    socketId: string | undefined,
  ): Promise<EnteredCall> {
    const { channelId, _id } = await this.find(caller, callId);
    const call = await this.guarded(caller, 'call.join', channelId, async () =>
      this.enter(caller, await this.deps.store.get(_id), type, input, socketId),
    );
    return { call: toCall(call), connection: this.connectionOf(call, caller) };
  }

  /** Runs the entry of a caller into a call of a channel, with locks on everything that gives them the right. */
  private guarded(
    caller: Caller,
    action: 'call.start' | 'call.join',
    channelId: ObjectId | string,
    enter: (channel: ChannelDocument) => Promise<VideoCallDocument>,
  ): Promise<VideoCallDocument> {
    const { rights, writes } = this.deps;
    return rights.guardEntry(caller, () =>
      writes.inChannel(caller, action, channelId, {}, async ({ channel }) => {
        await rights.lockEntry(caller, channel);
        return enter(channel);
      }),
    );
  }

  /** Enters a call, in the transaction in which this was decided. */
  private async enter(
    caller: Caller,
    { _id }: VideoCallDocument,
    type: 'accept' | 'join',
    { peerId }: EnterCallInput,
    socketId: string | undefined,
  ): Promise<VideoCallDocument> {
    const device = this.deviceOf(caller, peerId, socketId);
    const call = await this.deps.store.apply(_id, { type, userId: caller.userId, device });
    await this.deps.connections.watch(call, caller.userId);
    return call;
  }

  private async create(
    caller: Caller,
    channel: ChannelDocument,
    { userIds, media, countCall }: Pick<StartCallInput, 'userIds' | 'media'> & { countCall: CountCall },
    socketId: string | undefined,
  ): Promise<VideoCallDocument> {
    const called = await this.calledBy(caller, channel, userIds);
    const busy = await this.deps.store.findBusy([caller.userId, ...called]);
    if (busy.some((id) => id.equals(caller.userId))) throw alreadyInCall();
    await countCall(called);
    const call = await this.deps.store.start({
      _id: new ObjectId(),
      channelId: channel._id,
      groupId: channel.groupId,
      pair: channel.directKey !== undefined,
      media,
      startedBy: caller.userId,
      device: this.deviceOf(caller, undefined, socketId),
      userIds: called,
      busy,
    });
    await this.deps.connections.watch(call, caller.userId);
    return call;
  }

  /** The users whom a new call calls. @throws AppError not_found if one of `userIds` does not read the channel */
  private async calledBy(
    caller: Caller,
    channel: ChannelDocument,
    userIds: string[] | undefined,
  ): Promise<ObjectId[]> {
    const isPair = channel.directKey !== undefined;
    const named = userIds && (await this.requireReaders(channel, userIds));
    // In a conversation of two there is nobody else to call.
    const called = named && !isPair ? named : await this.calledByDefault(channel);
    return this.callable(
      caller,
      channel,
      called.filter((id) => !id.equals(caller.userId)),
    );
  }

  private async calledByDefault(channel: ChannelDocument): Promise<ObjectId[]> {
    if (channel.kind !== 'direct') return [];
    const readers = await this.deps.access.readersOf(channel, MAX_PARTICIPANTS);
    return readers.map(({ userId }) => userId);
  }

  private async requireReaders(channel: ChannelDocument, userIds: string[]): Promise<ObjectId[]> {
    const ids = [...new Set(userIds)].map((id) => new ObjectId(id));
    const readers = await this.deps.access.filterReaders(channel._id, ids);
    if (readers.length < ids.length) {
      throw new AppError('not_found', 'One of these users does not exist, or cannot read the channel.');
    }
    return readers;
  }

  /** Returns those of some readers of a channel who may join its calls, and have not blocked the caller. */
  private async callable(
    { userId }: Caller,
    { _id }: ChannelDocument,
    userIds: ObjectId[],
  ): Promise<ObjectId[]> {
    const allowed = await this.deps.rights.allowedIn(_id, userIds);
    const blockers = await this.deps.blocks.findBlockers(userId, allowed);
    return allowed.filter((id) => !blockers.has(id.toHexString()));
  }

  private async applyAsParticipant(caller: Caller, callId: string, event: CallEvent): Promise<Call> {
    const { _id } = await this.find(caller, callId);
    return toCall(await this.deps.store.apply(_id, event));
  }

  private find(caller: Caller, callId: string): Promise<VideoCallDocument> {
    return this.deps.history.find(caller, callId);
  }

  private deviceOf(caller: Caller, peerId: string | undefined, socketId: string | undefined): Device {
    return {
      sessionId: caller.sessionId,
      newPeerId: randomBytes(16).toString('hex'),
      ...(peerId !== undefined && { peerId }),
      connection: this.deps.connections.socketOf(caller, socketId),
    };
  }

  /** What the caller's device needs to connect to the other participants. */
  private connectionOf(call: VideoCallDocument, { userId, sessionId }: Caller): CallConnection {
    const { peerId } = participantOf(call, userId)!.place!;
    const { ticket, ticketExpiresAt } = this.deps.tickets.issue({
      userId,
      sessionId,
      callId: call._id,
      peerId,
    });
    return {
      peerId,
      ticket,
      ticketExpiresAt,
      ...this.deps.ice.forUser(userId, this.deps.store.now),
    };
  }
}
