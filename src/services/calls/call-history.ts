import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { CallsQuery } from '../../models/calls/call-history.model';
import type { Caller } from '../../models/identity/session.model';
import { toCall, type Call, type VideoCallDocument } from '../../models/video-call.model';
import type { Page } from '../../utils/cursor';
import type { Access } from '../access/access';
import { participantOf } from './call-changes';

/** The most calls that are read for one page. If few of them match, the page is shorter than its limit. */
export const MAX_EXAMINED = 1000;
/** By how much each batch of a page is larger than the one before it. */
const BATCH_GROWTH = 4;

/** Finds and lists calls: those that are open, and the history. Only calls of channels that the caller may read now. */
export class CallHistory {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
  ) {}

  /** Finds a call whose channel the caller may read. @throws AppError not_found */
  async find(caller: Caller, callId: string): Promise<VideoCallDocument> {
    const call = await this.collections.videoCalls.findOne({ _id: new ObjectId(callId) });
    // Without a call it asks for a channel that does not exist, so that the response time does not reveal a hidden call.
    await this.access.channel(caller, 'channel.read', call?.channelId ?? new ObjectId());
    return call!;
  }

  /** Lists the open calls of the channels that the caller reads, the newest first. */
  async active(caller: Caller): Promise<Call[]> {
    const { audiences } = await this.access.readable(caller.userId);
    const channelIds = audiences.privateChannels.map(({ channelId }) => channelId);
    const calls = await this.collections.videoCalls
      .find({
        open: true,
        $or: [{ groupId: { $in: audiences.groupIds } }, { channelId: { $in: channelIds } }],
      })
      .toArray();
    return newestFirst(await this.keepReadable(caller, calls));
  }

  /** Lists the open calls of some channels, which somebody may read, the newest first. */
  async activeIn(channelIds: readonly ObjectId[]): Promise<Call[]> {
    const filter = { open: true, channelId: { $in: [...channelIds] } } as const;
    return newestFirst(await this.collections.videoCalls.find(filter).toArray());
  }

  /**
   * Lists the calls of the caller, or all calls of a channel, the newest first. A page costs the same however many calls
   * do not match: it may contain fewer calls than its limit, or none, although `nextCursor` shows that there are more.
   * @throws AppError not_found unless the caller may read the channel
   */
  async list(caller: Caller, query: CallsQuery): Promise<Page<Call>> {
    if (query.channelId !== undefined) await this.access.channel(caller, 'channel.read', query.channelId);
    const found: VideoCallDocument[] = [];
    let cursor = query.cursor;
    let examined = 0;
    let size = query.limit + 1;
    while (found.length <= query.limit && examined < MAX_EXAMINED) {
      const batch = await this.collections.videoCalls
        .find({ ...indexed(caller, query), ...(cursor && { _id: { $lt: new ObjectId(cursor) } }) })
        .sort({ _id: -1 })
        .limit(size)
        .toArray();
      examined += batch.length;
      const matching = batch.filter((call) => matches(call, caller, query));
      found.push(...(query.channelId === undefined ? await this.keepReadable(caller, matching) : matching));
      if (batch.length < size) {
        cursor = undefined;
        break;
      }
      cursor = idOf(batch.at(-1)!);
      size = Math.min(size * BATCH_GROWTH, MAX_EXAMINED - examined);
    }
    const calls = found.slice(0, query.limit);
    const nextCursor = found.length > query.limit ? idOf(calls.at(-1)!) : (cursor ?? null);
    return { items: calls.map(toCall), nextCursor };
  }

  private async keepReadable(caller: Caller, calls: VideoCallDocument[]): Promise<VideoCallDocument[]> {
    const ids = new Map(calls.map(({ channelId }) => [channelId.toHexString(), channelId]));
    if (ids.size === 0) return [];
    const channels = await this.collections.channels.find({ _id: { $in: [...ids.values()] } }).toArray();
    const readable = await this.access.filterReadable(caller, channels);
    const isReadable = new Set(readable.map((id) => id.toHexString()));
    return calls.filter(({ channelId }) => isReadable.has(channelId.toHexString()));
  }
}

/** The part of a query that an index serves together with the order. `matches` tests the rest. */
function indexed({ userId }: Caller, { channelId, role, outcome }: CallsQuery): Filter<VideoCallDocument> {
  if (channelId !== undefined) return { channelId: new ObjectId(channelId) };
  if (role === 'made') return { startedBy: userId };
  return { 'participants.userId': userId, ...(outcome && { outcome }) };
}

function matches(
  call: VideoCallDocument,
  { userId }: Caller,
  { outcome, role, missed }: CallsQuery,
): boolean {
  const own = participantOf(call, userId);
  if (outcome && call.outcome !== outcome) return false;
  if (role === 'made' && !call.startedBy.equals(userId)) return false;
  if (role === 'received' && !own?.invitedBy) return false;
  return !missed || own?.state === 'missed' || own?.state === 'busy';
}

function newestFirst(calls: VideoCallDocument[]): Call[] {
  return calls.sort((one, other) => (idOf(one) < idOf(other) ? 1 : -1)).map(toCall);
}

function idOf({ _id }: VideoCallDocument): string {
  return _id.toHexString();
}
