import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { rounds, SEED, TIMEOUT_MS } from '../../../../tools/jest/budget';
import { CALL_STATES, MAX_JOINED, type VideoCallDocument } from '../../../models/video-call.model';
import { ALONE_MS, GRACE_MS, joinedOf, participantOf, RING_MS } from '../../../services/calls/call-changes';
import type { CallEvent, CallEventType, Device } from '../../../services/calls/call-events';
import { CALL_TABLE, startCall, transition, type NewCall } from '../../../services/calls/call-machine';
import { AppError } from '../../../utils/errors';

const USERS = Array.from({ length: 10 }, () => new ObjectId());
/** The sessions of each user. */
const SESSIONS = USERS.map(() => [new ObjectId(), new ObjectId()]);
const NODES = ['here', 'there'];
const EVENT_TYPES = Object.keys(CALL_TABLE) as CallEventType[];

/** One thing that happens. Which parts count depends on the type. */
interface Step {
  type: CallEventType;
  who: number;
  whom: number[];
  busy: number[];
  device: number;
  /** Whether the device has a connection, resumes with its peer id, or is not the one that is in the call. */
  flag: boolean;
  node: number;
  media: { audio?: boolean; video?: boolean; screen?: boolean; hand?: boolean };
  /** How much time passes before it, in milliseconds. */
  after: number;
}

const anyone = fc.nat({ max: USERS.length - 1 });
/** Few people act most of the time, so that their actions meet. */
const actor = fc.oneof({ arbitrary: fc.nat({ max: 2 }), weight: 3 }, { arbitrary: anyone, weight: 2 });
const somebody = fc.uniqueArray(anyone, { minLength: 1, maxLength: 4 });
const anyStep: fc.Arbitrary<Step> = fc.record({
  type: fc.oneof(
    { arbitrary: fc.constantFrom(...EVENT_TYPES), weight: 2 },
    { arbitrary: fc.constantFrom<CallEventType>('accept', 'join', 'invite', 'time'), weight: 2 },
  ),
  who: actor,
  whom: somebody,
  busy: fc.uniqueArray(anyone, { maxLength: 2 }),
  device: fc.nat({ max: 1 }),
  flag: fc.boolean(),
  node: fc.nat({ max: 1 }),
  media: fc.record({ audio: fc.boolean(), hand: fc.boolean() }, { requiredKeys: [] }),
  after: fc.constantFrom(0, 0, 1, 1000, GRACE_MS, RING_MS, ALONE_MS),
});
const anyStart = fc.record({
  pair: fc.boolean(),
  video: fc.boolean(),
  called: fc.oneof(
    fc.constantFrom([1], [1, 2]),
    fc.uniqueArray(fc.integer({ min: 1, max: USERS.length - 1 }), { maxLength: USERS.length - 1 }),
  ),
  busy: fc.subarray([1, 2, 3]),
  connected: fc.boolean(),
});
type Start = typeof anyStart extends fc.Arbitrary<infer Value> ? Value : never;

/** What was reached: `event.state`, and `event.state>state` for each state that followed. */
const reached = new Set<string>();

/** Everything about a call in one comparable text. */
const textOf = (value: unknown) =>
  JSON.stringify(value, (_, one: unknown) => (one instanceof Set ? [...(one as Set<unknown>)] : one));

function freeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || value instanceof ObjectId || value instanceof Date) {
    return value;
  }
  for (const one of Object.values(value)) freeze(one);
  return Object.freeze(value);
}

/** A call that things happen to, with what a reader of its events knows about it. */
class Story {
  now = Date.UTC(2026, 10, 30);
  call: VideoCallDocument;
  private peers = 0;
  /** By user: when they came in, and how long they have been in it before. */
  private readonly since = new Map<string, number>();
  private readonly talked = new Map<string, number>();

  constructor({ pair, video, called, busy, connected }: Start) {
    const userIds = called.slice(0, pair ? 1 : undefined).map((index) => USERS[index]!);
    const input: NewCall = {
      _id: new ObjectId(),
      channelId: new ObjectId(),
      groupId: null,
      pair,
      media: video ? 'video' : 'audio',
      startedBy: USERS[0]!,
      device: this.device(0, 0, connected),
      userIds,
      busy: busy.map((index) => USERS[index]!),
    };
    const { call, rung } = startCall(freeze(input), new Date(this.now));
    this.call = freeze(call);
    expect(call.version).toBe(1);
    this.check();
    expect(new Set(rung.map(String))).toEqual(new Set(this.idsOf('ringing')));
  }

  /** The device of a user, with a new connection or none. */
  private device(who: number, device: number, connected: boolean, node = 0): Device {
    const peer = ++this.peers;
    return {
      sessionId: SESSIONS[who]![device]!,
      newPeerId: `peer ${peer}`,
      connection: connected ? { kind: 'socket', id: `socket ${peer}`, nodeId: NODES[node]! } : null,
    };
  }

  private idsOf(state: string): string[] {
    return this.call.participants
      .filter((one) => one.state === state)
      .map(({ userId }) => userId.toHexString());
  }

  private eventOf({ type, who, whom, busy, device, flag, node, media }: Step): CallEvent {
    const userId = USERS[who]!;
    const own = participantOf(this.call, userId);
    const users = (some: number[]) => some.map((index) => USERS[index]!);
    switch (type) {
      case 'accept':
      case 'join': {
        const entering = this.device(who, device, flag, node);
        const isDoubleClick = node === 0 && own?.connection;
        if (isDoubleClick) entering.connection = own.connection;
        if (!flag && own?.place) entering.peerId = own.place.peerId;
        return { type, userId, device: entering };
      }
      case 'leave':
        return { type, userId, ...(flag && { sessionId: SESSIONS[who]![device]! }) };
      case 'invite':
        return { type, userId, userIds: users(whom), busy: users(busy) };
      case 'move':
        return { type, userId, channelId: new ObjectId(), userIds: users(whom), busy: users(busy) };
      case 'set_media':
        return { type, userId, changes: media };
      case 'attach': {
        const connection = { kind: 'peer', id: `peer ${++this.peers}`, nodeId: NODES[node]! } as const;
        const peerId = own?.place && flag ? own.place.peerId : 'another';
        return { type, userId, sessionId: SESSIONS[who]![device]!, peerId, connection };
      }
      case 'detach':
        return { type, userId, connectionId: (flag && own?.connection?.id) || 'another' };
      case 'lose_nodes':
        return { type, nodeIds: new Set([NODES[node]!]) };
      case 'remove':
        return { type, userIds: users(whom.slice(0, 2)) };
      case 'time':
        return { type };
      case 'end':
        return { type, userId, reason: 'ended_for_all' };
      default:
        return { type, userId };
    }
  }

  perform(step: Step): void {
    this.now += step.after;
    this.apply(this.eventOf(step));
  }

  apply(event: CallEvent): void {
    const before = this.call;
    const text = textOf(before);
    const cell = `${event.type}.${before.state}`;
    reached.add(cell);
    let result;
    try {
      result = transition(before, freeze(event), new Date(this.now));
    } catch (error) {
      // Whoever causes it reads a code, and nothing has changed.
      if (!(error instanceof AppError)) throw error;
      if (textOf(before) !== text) expect(textOf(before)).toBe(text);
      return;
    }
    if (textOf(before) !== text) expect(textOf(before)).toBe(text);
    const { call, rung, removed } = result;
    if (call === before) {
      expect({ rung, removed }).toEqual({ rung: [], removed: [] });
      return;
    }
    reached.add(`${cell}>${call.state}`);
    this.call = freeze(call);
    expect(call.version).toBe(before.version + 1);
    expect(before.state).not.toBe('ended');
    for (const id of rung) expect(participantOf(call, id)?.state).toBe('ringing');
    for (const id of removed) {
      expect(participantOf(before, id)?.state).toMatch(/joined|ringing/);
      expect(participantOf(call, id)?.state).toBe('removed');
    }
    if (event.type === 'accept' || event.type === 'join') {
      const { connection } = participantOf(call, event.userId)!;
      const { connection: entered } = event.device;
      const isPeerHere = connection?.kind === 'peer' && connection.nodeId === entered?.nodeId;
      // A client that has resumed by a new socket is not lost with the old one.
      if (entered && !isPeerHere) expect(connection).toEqual(entered);
    }
    this.check();
  }

  /** Checks everything that holds for every call at every moment. */
  private check(): void {
    const { call, now } = this;
    const ended = call.state === 'ended';
    const joined = joinedOf(call);
    const rings = this.idsOf('ringing').length;
    const times: (Date | null | undefined)[] = [];
    const found: unknown[] = [];
    const expected: unknown[] = [];
    for (const own of call.participants) {
      const id = own.userId.toHexString();
      const { state } = own;
      if (state === 'joined' && !this.since.has(id)) this.since.set(id, now);
      if (state !== 'joined' && this.since.has(id)) {
        this.talked.set(id, (this.talked.get(id) ?? 0) + now - this.since.get(id)!);
        this.since.delete(id);
      }
      const isIn = state === 'joined';
      const what = { id, state };
      found.push({
        ...{ ...what, rings: own.ringUntil !== null, hasPlace: own.place !== null, talkMs: own.talkMs },
        isConnectedOrLeaving: [own.connection, own.leaveAt].map((one) => one !== null).sort(),
        sends: [own.audio, own.video, own.screen, own.hand].some(Boolean) && !isIn,
      });
      expected.push({
        ...{ ...what, rings: state === 'ringing', hasPlace: isIn, talkMs: this.talked.get(id) ?? 0 },
        ...{ isConnectedOrLeaving: [false, isIn], sends: false },
      });
      times.push(own.ringUntil, own.leaveAt);
    }
    const isAlone = call.state === 'active' && joined.length === 1;
    if (call.aloneSince) times.push(new Date(call.aloneSince.getTime() + ALONE_MS));
    const due = times.flatMap((time) => time?.getTime() ?? []);
    const ids = joined.map(({ userId }) => userId.toHexString());
    found.push({
      users: new Set(call.participants.map(({ userId }) => userId.toHexString())).size,
      inCall: call.inCall?.map(String) ?? [],
      isEmpty: call.inCall?.length === 0,
      open: call.open ?? false,
      recordDue: call.recordDue,
      alone: call.aloneSince !== undefined,
      dueAt: call.dueAt?.getTime() ?? null,
      ended: [call.endedAt, call.outcome, call.endReason].map((one) => one !== null),
      completed: call.outcome === 'completed',
    });
    expected.push({
      users: call.participants.length,
      inCall: ids,
      isEmpty: false,
      open: !ended,
      recordDue: true,
      alone: isAlone,
      dueAt: due.length > 0 ? Math.min(...due) : null,
      ended: [ended, ended, ended],
      completed: ended && call.answeredAt !== null,
    });
    const isPossible = {
      ringing: joined.length === 1 && rings > 0 && call.answeredAt === null,
      active: joined.length >= (call.pair ? 2 : 1) && joined.length <= MAX_JOINED,
      ended: joined.length + rings === 0,
    };
    found.push(isPossible[call.state]);
    expected.push(true);
    // `expect` is slow, and this runs very often.
    if (textOf(found) !== textOf(expected)) expect({ call, found }).toEqual({ call, found: expected });
  }

  /** Lets the time pass until nothing is due any more. */
  pass(): void {
    for (let step = 0; this.call.dueAt; step++) {
      // Each participant stops ringing or leaves once, and the last one is alone once.
      expect(step).toBeLessThanOrEqual(2 * USERS.length + 1);
      const { version } = this.call;
      this.now = Math.max(this.now, this.call.dueAt.getTime());
      this.apply({ type: 'time' });
      expect(this.call.version).toBe(version + 1);
    }
  }

  loseConnections(): void {
    this.apply({ type: 'lose_nodes', nodeIds: new Set(NODES) });
  }
}

test(
  'a call keeps its rules whatever happens to it, and never hangs',
  () => {
    for (const round of rounds(1)) {
      fc.assert(
        fc.property(anyStart, fc.array(anyStep, { minLength: 1, maxLength: 40 }), (start, steps) => {
          const story = new Story(start);
          for (const step of steps) story.perform(step);
          story.pass();
          // Those who are still talking have a connection.
          if (story.call.state !== 'ended') expect(joinedOf(story.call).length).toBeGreaterThanOrEqual(2);
          story.loseConnections();
          story.pass();
          expect(story.call.state).toBe('ended');
        }),
        { seed: SEED + round, numRuns: 600, endOnFailure: SEED !== 1 },
      );
    }
    const cells = EVENT_TYPES.flatMap((type) =>
      CALL_STATES.flatMap((state) => {
        const cell = CALL_TABLE[type][state];
        const next = typeof cell === 'object' && 'to' in cell ? cell.to : [];
        return [`${type}.${state}`, ...next.map((after) => `${type}.${state}>${after}`)];
      }),
    );
    expect([...reached].sort()).toEqual(cells.sort());
  },
  TIMEOUT_MS,
);
