import { ObjectId } from 'mongodb';
import { openDatabase } from '../../src/db/mongodb';
import type { MessageDocument } from '../../src/models/message.model';
import { searchFieldsOf } from '../../src/services/search/search-terms';
import { call } from '../demo/rest';
import { createRoom, type Room } from './people';
import { Target } from './target';
import { inTemporaryFolder } from './temporary-folder';

/** The cost of a page and of the unread count in a channel with a number of messages, in milliseconds. */
export interface HistoryCost {
  messages: number;
  newestPage: number;
  middlePage: number;
  summary: number;
}

const PAGE = 50;
const ROUNDS = 200;
const BATCH = 5000;

/**
 * Measures reads that need the store, over REST: the newest page, a page in the middle, and the summary with the unread
 * count of a user who has read nothing.
 */
export async function measureHistory(sizes: readonly number[]): Promise<HistoryCost[]> {
  const costs: HistoryCost[] = [];
  for (const size of sizes) costs.push(await measure(size));
  return costs;
}

async function measure(messages: number): Promise<HistoryCost> {
  return inTemporaryFolder(async (dataDir) => {
    // A first server creates the users and the channel. The messages are inserted into its store while it is stopped.
    const first = await Target.parley(dataDir);
    const room = await createRoom(first.url, 2);
    await first.stop();
    await fill(dataDir, new ObjectId(room.channelId), messages);
    const target = await Target.parley(dataDir);
    try {
      return { messages, ...(await measureReads(target.url, room, messages)) };
    } finally {
      await target.stop();
    }
  });
}

async function measureReads(
  url: string,
  { channelId, people }: Room,
  messages: number,
): Promise<Omit<HistoryCost, 'messages'>> {
  // The second user has neither read nor written anything.
  const [, reader] = people;
  const median = async (path: string): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const begun = performance.now();
      await call(url, 'GET', `/api/channels/${channelId}${path}`, reader?.token);
      times.push(performance.now() - begun);
    }
    return times.sort((one, other) => one - other)[ROUNDS / 2]!;
  };
  return {
    newestPage: await median(`/messages?limit=${PAGE}`),
    middlePage: await median(`/messages?limit=${PAGE}&before=${Math.floor(messages / 2) + 1}`),
    summary: await median('/summary'),
  };
}

/** Inserts messages of the creator of the channel directly into the store of a stopped server. */
async function fill(dataDir: string, channelId: ObjectId, count: number): Promise<void> {
  const database = await openDatabase({ uri: undefined, name: 'parley', dataDir });
  const { collections } = database;
  try {
    const channel = await collections.channels.findOne({ _id: channelId });
    if (!channel) throw new Error('The channel is not in the store.');
    const { createdBy } = channel;
    for (let first = 1; first <= count; first += BATCH) {
      const size = Math.min(BATCH, count - first + 1);
      await collections.messages.insertMany(
        Array.from({ length: size }, (_, index) => stored(channelId, createdBy, first + index)),
      );
    }
    await collections.channels.updateOne(
      { _id: channelId },
      { $set: { seq: count, mainSeq: count, revision: count } },
    );
  } finally {
    await database.close();
  }
}

function stored(channelId: ObjectId, senderId: ObjectId, seq: number): MessageDocument {
  const body = `Message ${seq}: the quick brown fox jumps over the lazy dog while people chat.`;
  return {
    _id: new ObjectId(),
    channelId,
    seq,
    mainSeq: seq,
    revision: seq,
    senderId,
    clientMessageId: `bench-${seq}`,
    sentDigest: '',
    body,
    search: searchFieldsOf(body, senderId.toHexString()),
    createdAt: new Date(),
    editedAt: null,
    deletedAt: null,
  };
}
