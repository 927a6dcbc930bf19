import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { VideoCallDocument } from '../../models/video-call.model';
import { AppError } from '../../utils/errors';
import { audienceOfChannel } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { Clock } from '../kernel/background-job';
import type { ChannelAudience } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { NotificationService } from '../notifications/notification.service';
import type { CallEvent, Transition } from './call-events';
import type { CallMetrics } from './call-metrics';
import { startCall, transition, type NewCall } from './call-machine';

/** The unique index by which a user is in one call at a time. */
const ONE_CALL_PER_USER = 'in_call_unique';

/** The dependencies of CallStore. */
export interface CallStoreDeps {
  collections: Collections;
  transactions: Transactions;
  rights: RightsVersion;
  bus: EventBus;
  clock: Clock;
  notifications: Pick<NotificationService, 'findDoNotDisturb'>;
  callMetrics: CallMetrics;
}

/** Writes calls: each transition of the state machine is one conditional update, and publishes `call.changed`. */
export class CallStore {
  constructor(private readonly deps: CallStoreDeps) {}

  get now(): Date {
    return new Date(this.deps.clock.now());
  }

  /** Returns a call. @throws AppError not_found */
  async get(_id: ObjectId): Promise<VideoCallDocument> {
    const call = await this.deps.collections.videoCalls.findOne({ _id });
    if (!call) throw noCall();
    return call;
  }

  /** Returns those of some calls that exist. */
  getAll(ids: ObjectId[]): Promise<VideoCallDocument[]> {
    return this.deps.collections.videoCalls.find({ _id: { $in: ids } }).toArray();
  }

  /** Finds the open call of a channel. */
  openIn(channelId: ObjectId): Promise<VideoCallDocument | null> {
    return this.deps.collections.videoCalls.findOne({ channelId, open: true });
  }

  /** Returns which of some users are in a call. */
  async findBusy(userIds: readonly ObjectId[]): Promise<ObjectId[]> {
    if (userIds.length === 0) return [];
    const calls = await this.deps.collections.videoCalls
      .find({ inCall: { $in: [...userIds] } }, { projection: { inCall: 1 } })
      .toArray();
    const busy = new Set(calls.flatMap(({ inCall = [] }) => inCall.map((id) => id.toHexString())));
    return userIds.filter((id) => busy.has(id.toHexString()));
  }

  /**
   * Stores a new call.
   * @throws AppError already_in_call, and the error of the index `channel_open_unique` if the channel has an open call
   */
  async start(input: NewCall): Promise<VideoCallDocument> {
    const started = startCall(input, this.now);
    await this.deps.collections.videoCalls.insertOne(started.call).catch(throwAlreadyInCall);
    this.deps.callMetrics.recordTransition(started.call.state);
    await this.publish(started);
    return started.call;
  }

  /**
   * Applies an event to a call. Of two events at the same moment, the later one is applied to the result of the other.
   * @returns the call after the event.
   * @throws AppError not_found, already_in_call, and the refusals of the state machine
   */
  async apply(_id: ObjectId, event: CallEvent): Promise<VideoCallDocument> {
    for (;;) {
      const current = await this.get(_id);
      const result = transition(current, event, this.now);
      if (result.call === current) return current;
      if (await this.replace(current, result.call)) {
        if (result.call.state !== current.state) this.deps.callMetrics.recordTransition(result.call.state);
        await this.publish(result);
        return result.call;
      }
    }
  }

  /**
   * Records that everything which was due for this state of a call has been written. Clients need not learn of it.
   * @returns false, with nothing changed, if another writer was first.
   */
  setRecorded(call: VideoCallDocument, messageId: ObjectId | null): Promise<boolean> {
    const { recordDue: _, ...rest } = call;
    const participants = call.participants.map(({ notifyDue: __, ...own }) => own);
    return this.replace(call, { ...rest, participants, messageId, recordedVersion: call.version });
  }

  /** Deletes a call with the measurements of its quality, unless another writer was first. */
  async remove(call: VideoCallDocument): Promise<void> {
    const { videoCalls, callQuality } = this.deps.collections;
    const { deletedCount } = await videoCalls.deleteOne(unchanged(call));
    if (deletedCount > 0) await callQuality.deleteMany({ callId: call._id });
  }

  /** @returns false if another writer was first. */
  private async replace(current: VideoCallDocument, next: VideoCallDocument): Promise<boolean> {
    const replaced = await this.deps.collections.videoCalls
      .findOneAndReplace(unchanged(current), next, { projection: { _id: 1 } })
      .catch(throwAlreadyInCall);
    return replaced !== null;
  }

  /** Publishes a change to those who read the channel at that moment. */
  private publish({ call, rung, removed }: Transition): Promise<void> {
    const { bus, collections, notifications, rights, transactions } = this.deps;
    return transactions.afterCommit(async () => {
      const doNotDisturb = rung.length > 0 ? await notifications.findDoNotDisturb(rung) : undefined;
      const silent = rung.filter((id) => doNotDisturb?.has(id.toHexString()));
      let isPublished = false;
      const publish = (audience: ChannelAudience | null) => {
        isPublished = true;
        return bus.publish({ type: 'call.changed', call, audience, rung, silent, removed });
      };
      await rights.publish(
        () => collections.channels.findOne({ _id: call.channelId }),
        (channel) => publish(channel && audienceOfChannel(channel)),
      );
      // Rights keep changing. The server itself has to know of every change.
      if (!isPublished) await publish(null);
    });
  }
}

/** Matches a call that nobody has written since it was read. */
function unchanged({ _id, version, recordedVersion }: VideoCallDocument): Filter<VideoCallDocument> {
  return { _id, version, recordedVersion: recordedVersion ?? { $exists: false } };
}

function throwAlreadyInCall(error: unknown): never {
  if (duplicateIndex(error) !== ONE_CALL_PER_USER) throw error;
  throw alreadyInCall();
}

export function alreadyInCall(): AppError {
  return new AppError('already_in_call', 'You are in another call. Leave it first.');
}

function noCall(): AppError {
  return new AppError('not_found', 'There is no such call.');
}
