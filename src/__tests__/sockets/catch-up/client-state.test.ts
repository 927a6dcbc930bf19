import {
  emptyState,
  reduce,
  syncRequest,
  type Action,
  type ClientState,
} from '../../../../client/client-state';
import type { Channel, Message, Read, SyncAnswer } from '../../../../client/types';

const ME = 'me';
const CHANNEL = 'channel';

const channelAt = (revision: number, seq: number) =>
  ({ id: CHANNEL, groupId: 'group', revision, seq, memberCount: 2, retainedFrom: 1 }) as Channel;
const readAt = (revision: number, readSeq: number): Read => ({
  channelId: CHANNEL,
  readSeq,
  unread: 0,
  mentions: 0,
  lastSeq: readSeq,
  revision,
  version: 1,
});
const messageAt = (revision: number, seq: number, senderId: string) =>
  ({
    id: `message ${seq}`,
    channelId: CHANNEL,
    revision,
    seq,
    senderId,
    clientMessageId: `sent ${seq}`,
    threadId: null,
    mentionIds: [],
    deletedAt: null,
  }) as unknown as Message;
const answer = (parts: Partial<SyncAnswer>): Action => ({
  type: 'sync:answered',
  answer: { channels: [], added: [], reset: [], gone: [], more: false, ...parts } as SyncAnswer,
});
const after = (actions: Action[]): ClientState => actions.reduce(reduce, emptyState(ME));
const created = (message: Message): Action => ({
  type: 'event',
  name: 'message:created',
  payload: { message },
});

describe('an event that arrives while sync is in progress', () => {
  const asked: Action[] = [{ type: 'connected' }, { type: 'sync:asked' }];
  const message = messageAt(4, 2, 'another');
  const added = answer({ added: [{ channel: channelAt(3, 1), read: readAt(3, 1) }] });
  const caughtUp = answer({
    channels: [
      {
        channelId: CHANNEL,
        channel: channelAt(4, 2),
        changes: [{ kind: 'message', revision: 4, message }],
        revision: 4,
        more: false,
        read: { ...readAt(4, 1), unread: 1, lastSeq: 2 },
      },
    ],
  } as unknown as Partial<SyncAnswer>);

  const news: [string, Action][] = [
    ['a message', created(message)],
    ['the acknowledgement of a message', { type: 'sent', message: messageAt(4, 2, ME) }],
    [
      'a read marker',
      { type: 'event', name: 'channel:read', payload: { read: { ...readAt(4, 2), version: 2 } } },
    ],
  ];

  test.each(news)('%s of a channel that is older in the answer: sync is repeated', (_name, one) => {
    const state = after([...asked, one, added]);
    expect(syncRequest(state)).toEqual({ since: { [CHANNEL]: 3 }, named: true });
  });

  test('a message of a channel that is reset to an older state in the answer: sync is repeated', () => {
    const known: Action[] = [...asked, added, { type: 'disconnected' }];
    const reset = answer({ reset: [{ channel: channelAt(3, 1), read: readAt(3, 1) }] });
    const state = after([...known, ...asked, created(message), reset]);
    expect(syncRequest(state)).toEqual({ since: { [CHANNEL]: 3 }, named: true });
  });

  test('is applied once when the second answer has arrived', () => {
    const state = after([...asked, created(message), added, { type: 'sync:asked' }, caughtUp]);
    expect(syncRequest(state)).toBeUndefined();
    const { revision, channel, read } = state.channels.get(CHANNEL)!;
    expect({ revision, seq: channel.seq, unread: read.unread }).toEqual({ revision: 4, seq: 2, unread: 1 });
  });

  test('with nothing new: sync is not repeated', () => {
    expect(syncRequest(after([...asked, added]))).toBeUndefined();
  });
});
