import { ObjectId, type Db, type Document, type IndexDescription } from 'mongodb';

/** Documents and indexes of the shape of a chat's: channels with counters, messages with a text index, read markers. */

const CHANNEL_INDEXES: IndexDescription[] = [
  { name: 'group', key: { groupId: 1, _id: 1 } },
  { name: 'position', key: { groupId: 1, position: 1, _id: 1 } },
  {
    name: 'name',
    key: { groupId: 1, nameKey: 1 },
    unique: true,
    partialFilterExpression: { nameKey: { $exists: true } },
  },
  { name: 'kind', key: { kind: 1, visibility: 1, _id: 1 } },
];

const MESSAGE_INDEXES: IndexDescription[] = [
  { name: 'seq', key: { channelId: 1, seq: 1 }, unique: true },
  { name: 'revision', key: { channelId: 1, revision: 1 }, unique: true },
  { name: 'created', key: { channelId: 1, createdAt: 1 } },
  {
    name: 'deleted',
    key: { channelId: 1, seq: 1 },
    partialFilterExpression: { deletedAt: { $type: 'date' } },
  },
  { name: 'thread', key: { channelId: 1, threadId: 1, seq: 1 } },
  {
    name: 'pinned',
    key: { channelId: 1, pinnedRevision: 1 },
    partialFilterExpression: { pinnedRevision: { $exists: true } },
  },
  {
    name: 'reactor',
    key: { 'reactions.userIds': 1 },
    partialFilterExpression: { reactions: { $exists: true } },
  },
  { name: 'sender', key: { senderId: 1, channelId: 1, seq: 1 } },
  {
    name: 'mention',
    key: { mentionIds: 1, channelId: 1, seq: 1 },
    partialFilterExpression: { mentionIds: { $exists: true } },
  },
  {
    name: 'attachment',
    key: { 'attachments.uploadId': 1, channelId: 1 },
    partialFilterExpression: { 'attachments.uploadId': { $exists: true } },
  },
  {
    name: 'text',
    key: { channelId: 1, body: 'text', 'search.keys': 'text' },
    weights: { body: 8, 'search.keys': 1 },
    default_language: 'none',
    language_override: 'textLanguage',
  },
  {
    name: 'client_id',
    key: { senderId: 1, clientMessageId: 1 },
    unique: true,
    partialFilterExpression: { clientMessageId: { $exists: true } },
  },
];

const WORDS = (
  'about after again all also answer ask back because before begin build call change city close cloud cold day ' +
  'deploy early evening every find first friday garden green group happy help house idea journey keep kitchen ' +
  'large last later learn letter light little logs meeting message minute monday morning mountain music never ' +
  'night number office often open orange paper people picture place plan point question quick reach ready release ' +
  'review river round school second server simple small station story street summer table team thanks think time ' +
  'tomorrow train travel update village visit water week window winter without work world write yellow yesterday'
).split(' ');

/** A channel of the database, with what its next message needs. */
export interface ChannelState {
  _id: ObjectId;
  senders: ObjectId[];
  seq: number;
}

let made = 0;

/** The next message of a channel: 11 entries of ordered indexes and about 27 terms of the text index. */
export function nextMessage(channel: ChannelState): Document {
  const seq = ++channel.seq;
  made++;
  const sender = channel.senders[seq % channel.senders.length] ?? channel._id;
  const words = Array.from({ length: 6 }, (_, i) => WORDS[(made * 31 + i * i * 17) % WORDS.length] ?? '');
  const prefixes = words.flatMap((word) =>
    Array.from({ length: Math.min(word.length - 2, 4) }, (_, i) => `p${word.slice(0, i + 2)}`),
  );
  return {
    _id: new ObjectId(),
    channelId: channel._id,
    seq,
    mainSeq: seq,
    revision: seq,
    senderId: sender,
    clientMessageId: `client-${made}-${Math.random().toString(36).slice(2)}`,
    sentDigest: 'c2hhMjU2IG9mIHRoZSBjb250ZW50IG9mIGEgbWVzc2FnZQ',
    body: words.join(' '),
    search: { text: ` ${words.join(' ')} `, keys: [...prefixes, `u${sender.toHexString()}`].join(' ') },
    createdAt: new Date(),
    editedAt: null,
    deletedAt: null,
  };
}

/** Creates the collections and their indexes, `count` channels, and `history` messages in each. */
export async function createChat(db: Db, count: number, history: number): Promise<ChannelState[]> {
  await db.collection('channels').createIndexes(CHANNEL_INDEXES);
  await db.collection('messages').createIndexes(MESSAGE_INDEXES);
  await db.collection('reads').createIndexes([
    { name: 'channel_user', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'user', key: { userId: 1 } },
  ]);
  const groupId = new ObjectId();
  const channels = Array.from({ length: count }, () => ({
    _id: new ObjectId(),
    senders: Array.from({ length: 5 }, () => new ObjectId()),
    seq: 0,
  }));
  await db.collection('channels').insertMany(
    channels.map(({ _id }, i) => ({
      _id,
      groupId,
      name: `channel ${i}`,
      nameKey: `channel${i}`,
      topic: 'what the channel is for',
      kind: 'text',
      visibility: 'public',
      position: i,
      seq: history,
      mainSeq: history,
      revision: history,
      archivedAt: null,
      createdAt: new Date(),
    })),
  );
  await db
    .collection('reads')
    .insertMany(
      channels.flatMap(({ _id, senders }) =>
        senders.map((userId) => ({ _id: new ObjectId(), channelId: _id, userId, seq: 0, mentions: 0 })),
      ),
    );
  for (let at = 0; at < history; at += 10) {
    const length = Math.min(10, history - at);
    await db
      .collection('messages')
      .insertMany(channels.flatMap((channel) => Array.from({ length }, () => nextMessage(channel))));
  }
  return channels;
}
