import { ObjectId, type Db, type Document } from 'mongodb';
import { displayNameKeysOf, emailKey, lookalikesOf, nameKeysOf } from '../../src/utils/name-keys';

const USERS = 10_000;
const GROUPS = 500;
const CHANNELS = 5_000;
const REPORTS = 5_000;
/** The period in which everything was created, in seconds. */
const PERIOD = 30 * 24 * 3600;
/** The messages of the last minute, which have not been counted yet. */
const RECENT = 2_000;
const BATCH = 5_000;

/**
 * Fills an empty database as if it had been used for a month. Message ids increase with time. Of the indexes of
 * messages only the one of ids is created: the administration uses no other, and a million entries of each take long.
 */
export async function fillDatabase(db: Db, messages: number): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const spread = (index: number, count: number) => now - PERIOD + Math.floor((index / count) * (PERIOD - 60));
  const users = ids(USERS, (index) => spread(index, USERS));
  const groups = ids(GROUPS, (index) => spread(index, GROUPS));
  const channels = ids(CHANNELS, (index) => spread(index, CHANNELS));
  await insert(db, 'users', USERS, (index) => userOf(users[index]!, index));
  await insert(db, 'groups', GROUPS, (index) => ({
    ...named(groups[index]!, `Group ${index}`, users[index]!),
    description: '',
    joinPolicy: 'open',
    memberCount: 20,
    channelCount: 10,
    defaultChannelId: null,
  }));
  await insert(db, 'channels', CHANNELS, (index) => ({
    ...named(channels[index]!, `channel${index}`, users[index]!),
    kind: 'group',
    groupId: groups[index % GROUPS],
    topic: '',
    position: index,
    slowModeSeconds: 0,
    announcementOnly: false,
    memberCount: 0,
    seq: Math.ceil(messages / CHANNELS),
    revision: Math.ceil(messages / CHANNELS),
  }));
  await db.collection('messages').dropIndexes();
  const last = messages - RECENT;
  await insert(db, 'messages', messages, (index) => ({
    _id: idAt(index < last ? spread(index, last) : now - 30),
    channelId: channels[index % CHANNELS],
    seq: Math.floor(index / CHANNELS) + 1,
    revision: Math.floor(index / CHANNELS) + 1,
    senderId: users[index % USERS],
    clientMessageId: String(index),
    sentDigest: '',
    body: 'What people write to each other is short on the whole.',
    createdAt: new Date(),
    editedAt: null,
    deletedAt: null,
  }));
  await insert(db, 'reports', REPORTS, (index) => ({
    _id: idAt(spread(index, REPORTS)),
    messageId: idAt(now),
    channelId: channels[index]!,
    groupId: groups[index % GROUPS],
    reporterId: users[index]!,
    category: 'spam',
    note: '',
    message: { senderId: users[0], body: 'Buy now', createdAt: new Date(), editedAt: null },
    state: index % 2 ? 'open' : 'resolved',
    claimedBy: null,
    claimedAt: null,
    resolution: null,
    createdAt: new Date(),
  }));
}

function userOf(_id: ObjectId, index: number): Document {
  const now = new Date();
  return {
    _id,
    username: `user${index}`,
    searchName: `user${index}`,
    nameLookalikes: lookalikesOf(`user${index}`),
    email: `user${index}@example.org`,
    emailKey: emailKey(`user${index}@example.org`),
    emailVerifiedAt: now,
    displayName: `Person ${index}`,
    ...displayNameKeysOf(`Person ${index}`),
    bio: '',
    statusText: '',
    timeZone: 'UTC',
    role: 'client',
    state: index % 50 ? 'active' : 'suspended',
    suspension: index % 50 ? null : { reason: 'x', until: null },
    totp: null,
    createdAt: now,
    updatedAt: now,
  };
}

function named(_id: ObjectId, name: string, createdBy: ObjectId): Document {
  const now = new Date();
  const keys = nameKeysOf(name);
  return {
    _id,
    name,
    ...keys,
    visibility: 'private',
    createdBy,
    archivedAt: null,
    createdAt: now,
    updatedAt: now,
  };
}

/** Returns an id that was created at a time in seconds. */
function idAt(seconds: number): ObjectId {
  return new ObjectId(seconds.toString(16).padStart(8, '0') + new ObjectId().toHexString().slice(8));
}

function ids(count: number, secondOf: (index: number) => number): ObjectId[] {
  return Array.from({ length: count }, (_, index) => idAt(secondOf(index)));
}

async function insert(db: Db, name: string, count: number, make: (index: number) => Document): Promise<void> {
  for (let first = 0; first < count; first += BATCH) {
    const length = Math.min(BATCH, count - first);
    await db.collection(name).insertMany(Array.from({ length }, (_, index) => make(first + index)));
  }
}
