import { EJSON } from 'bson';
import { ObjectId } from 'mongodb';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Transactions } from '../../../db/transaction';
import { SERVER_EVENTS, type ServerEvent } from '../../../models/kernel/server-events.model';
import { AudienceIndex } from '../../../services/access/audience-index';
import {
  DOMAIN_EVENTS,
  type DomainEvent,
  type DomainEventType,
} from '../../../services/kernel/domain-events';
import { EventBus, type EventStage } from '../../../services/kernel/event-bus';
import {
  decodeEvents,
  decodeHeader,
  encodeBatch,
  encodeDocument,
} from '../../../services/kernel/relay-batch';
import { BROADCASTS } from '../../../sockets/broadcasts';
import type { SocketsOf, ToWire } from '../../../sockets/broadcasts/broadcast.types';
import { SAMPLE_EVENTS, SECRET } from '../../fixtures/domain-events';

const TYPES = Object.keys(DOMAIN_EVENTS) as DomainEventType[];
const ofScope = (scope: 'node' | 'all') => TYPES.filter((type) => DOMAIN_EVENTS[type].scope === scope);

/** One socket for each kind of connection. */
const socketsOf: SocketsOf = { user: () => ['one'], group: () => ['two'], channel: () => ['three'] };
const wireEventsOf = (type: DomainEventType) =>
  Object.values(BROADCASTS[type] ?? {}).flatMap((toWire) =>
    (toWire as ToWire<DomainEvent>)(SAMPLE_EVENTS[type], socketsOf),
  );

/** A bus outside of any transaction. */
const newBus = () => new EventBus({ afterCommit: (effect) => effect() } as Transactions);

describe('each type of domain event', () => {
  test('has a scope, and a broadcast or explicitly none', () => {
    expect(Object.keys(BROADCASTS).sort()).toEqual([...TYPES].sort());
    expect(Object.keys(SAMPLE_EVENTS).sort()).toEqual([...TYPES].sort());
    for (const type of TYPES) {
      expect(type).toMatch(/^[a-z_]+\.[a-z_]+$/);
      expect(SAMPLE_EVENTS[type].type).toBe(type);
      const broadcast = BROADCASTS[type];
      if (broadcast !== null) expect([type, wireEventsOf(type).length > 0]).toEqual([type, true]);
    }
  });

  test.each(TYPES)('%s becomes wire events that fit their schemas, without secrets', (type) => {
    for (const { name, payload } of wireEventsOf(type)) {
      expect(SERVER_EVENTS[name].payload.safeParse(payload)).toMatchObject({ success: true });
    }
    expect(EJSON.stringify(SAMPLE_EVENTS[type])).not.toContain(SECRET);
  });

  test.each(TYPES)('%s survives the encoding for other nodes', (type) => {
    const event = SAMPLE_EVENTS[type];
    const header = { from: 'here', number: 7 };
    const { header: decoded, rest } = decodeHeader(
      encodeBatch(header, [encodeDocument(event), encodeDocument(event)]),
    );
    expect(decoded).toStrictEqual(header);
    if (DOMAIN_EVENTS[type].scope === 'node') expect(() => decodeEvents(rest)).toThrow();
    else expect(decodeEvents(rest)).toStrictEqual([event, event]);
  });

  test('of a later version is left out, and does not prevent the others', () => {
    const [known, unknown] = [SAMPLE_EVENTS['group.updated'], { type: 'group.painted' }];
    const batch = encodeBatch({ from: 'here', number: 1 }, [unknown, known, unknown].map(encodeDocument));
    expect(decodeEvents(decodeHeader(batch).rest)).toStrictEqual([known]);
  });

  test('is sent to the other nodes if and only if that is its scope', async () => {
    const bus = newBus();
    const sent: DomainEventType[] = [];
    const confirmed: DomainEventType[] = [];
    bus.connectNodes(
      ({ type }) => void sent.push(type),
      ({ type }) => {
        confirmed.push(type);
        return Promise.resolve();
      },
    );
    for (const type of TYPES) await bus.publish(SAMPLE_EVENTS[type]);
    expect([...sent, ...confirmed].sort()).toEqual(ofScope('all').sort());
    expect(confirmed).toEqual(TYPES.filter((type) => DOMAIN_EVENTS[type].confirmed));
  });
});

test('every wire event comes from a domain event, except those about a single socket', () => {
  const names = new Set(TYPES.flatMap(wireEventsOf).map(({ name }) => name));
  const others = (Object.keys(SERVER_EVENTS) as ServerEvent[]).filter((name) => !names.has(name));
  expect(others).toEqual(['auth:expiring', 'auth:ended', 'socket:ended', 'server:closing']);
});

test('services name no wire events', () => {
  const folder = join(__dirname, '../../../services');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  expect(files.length).toBeGreaterThan(100);
  const offenders = files.filter((file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    return Object.keys(SERVER_EVENTS).some((name) => text.includes(name));
  });
  expect(offenders).toEqual([]);
});

describe('publishing', () => {
  const STAGES: EventStage[] = ['publisher', 'after', 'everywhere', 'before'];
  const recordStages = (bus: EventBus) => {
    const calls: string[] = [];
    for (const stage of STAGES) bus.subscribe(() => void calls.push(stage), stage);
    return calls;
  };

  test('an event that nobody confirms calls all stages before it yields', () => {
    const bus = newBus();
    const calls = recordStages(bus);
    void bus.publish(SAMPLE_EVENTS['message.created']);
    expect(calls).toEqual(['before', 'everywhere', 'after', 'publisher']);
  });

  test('a confirmed event calls its last stages when the other nodes have confirmed', async () => {
    const bus = newBus();
    const calls = recordStages(bus);
    let confirm = () => {};
    bus.connectNodes(
      () => undefined,
      () => new Promise((resolve) => (confirm = () => (calls.push('confirmed'), resolve()))),
    );
    const published = bus.publish(SAMPLE_EVENTS['member.removed']);
    expect(calls).toEqual(['before', 'everywhere']);
    confirm();
    await published;
    expect(calls).toEqual(['before', 'everywhere', 'confirmed', 'after', 'publisher']);
  });

  test('continues after a failing listener, and fails in the end', async () => {
    const bus = newBus();
    bus.subscribe(() => {
      throw new Error('no');
    });
    const calls = recordStages(bus);
    await expect(bus.publish(SAMPLE_EVENTS['member.removed'])).rejects.toThrow('no');
    expect(calls).toEqual(['before', 'everywhere', 'after', 'publisher']);
  });

  test('an event from another node calls all stages except the one of the publisher, before it yields', async () => {
    const bus = newBus();
    const calls = recordStages(bus);
    const delivered = bus.deliver(SAMPLE_EVENTS['member.removed']);
    expect(calls).toEqual(['before', 'everywhere', 'after']);
    await delivered;
    expect(calls).toEqual(['before', 'everywhere', 'after']);
  });
});

describe('a connection in progress', () => {
  const { group, membership } = SAMPLE_EVENTS['member.added'];
  const { channel } = SAMPLE_EVENTS['channel_member.added'];
  const { userId } = membership;
  const audiences = {
    groupIds: [group._id],
    privateChannels: [{ channelId: channel._id, groupId: group._id }],
    bannedFrom: [],
  };

  const concerning: DomainEventType[] = [
    'member.added',
    'member.removed',
    'group.deleted',
    'channel_member.added',
    'channel_member.removed',
    'channel_members.cleared',
    'channel.deleted',
    'channel_ban.added',
    'channel_ban.ended',
    'user.changed',
    'session.revoked',
    'preferences.changed',
    'events.missed',
  ];

  test.each(TYPES)('is admitted, or has to connect again, after %s', async (type) => {
    const bus = newBus();
    const index = new AudienceIndex(bus);
    const mark = index.mark();
    await bus.publish(SAMPLE_EVENTS[type]);
    // The user has also joined the new group.
    const outdated = concerning.includes(type) || type === 'group.created';
    expect(index.enter(userId, audiences, mark)).toBe(!outdated);
    expect([...index.audiencesOf(userId.toHexString()).channelIds]).toEqual(
      outdated ? [] : [channel._id.toHexString()],
    );
    expect(index.enter(userId, audiences, index.mark())).toBe(true);
    // The membership of others does not concern it.
    const later = index.mark();
    await bus.publish({ type: 'user.changed', userId: new ObjectId() });
    await bus.publish({ type: 'channel_members.cleared', channelId: new ObjectId(), revision: 1 });
    expect(index.enter(userId, audiences, later)).toBe(true);
  });

  test('belongs to the audiences that were read last, and no disconnected one belongs to any', () => {
    const index = new AudienceIndex(newBus());
    const changes: unknown[] = [];
    index.onChange((change) => changes.push(change));
    const isPublic = { kind: 'public_channel', groupId: group._id, channelId: channel._id } as const;
    const isPrivate = { kind: 'channel', channelId: channel._id } as const;
    const key = userId.toHexString();
    index.enter(userId, audiences, index.mark());
    expect([index.readers(isPublic), index.readers(isPrivate)]).toEqual([[key], [key]]);
    expect(changes).toEqual([]);
    // A later connection reads newer audiences, which then apply to the existing ones.
    index.enter(userId, { ...audiences, privateChannels: [], bannedFrom: [channel._id] }, index.mark());
    expect([index.readers(isPublic), index.readers(isPrivate)]).toEqual([[], []]);
    const id = channel._id.toHexString();
    expect(changes).toEqual([
      { userId: key, kind: 'channel', id, present: false },
      { userId: key, kind: 'banned', id, present: true },
    ]);
    index.leave(key);
    expect([...index.audiencesOf(key).groupIds]).toEqual([]);
    expect(index.countReaders(isPublic, new Set())).toBe(0);
  });
});
