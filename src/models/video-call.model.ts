import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, timestampOut } from './kernel/common.model';

export const CALL_MEDIA = ['audio', 'video'] as const;
export type CallMedia = (typeof CALL_MEDIA)[number];

/** `ringing`: nobody has answered yet. `active`: people may talk. `ended`: nothing changes any more. */
export const CALL_STATES = ['ringing', 'active', 'ended'] as const;
export type CallState = (typeof CALL_STATES)[number];

/** How a call went, for its history. */
export const CALL_OUTCOMES = ['completed', 'missed', 'declined', 'cancelled', 'busy'] as const;
export type CallOutcome = (typeof CALL_OUTCOMES)[number];

/** What ended a call. */
export const CALL_END_REASONS = [
  'hung_up',
  'declined',
  'cancelled',
  'no_answer',
  'busy',
  'connection_lost',
  'alone',
  'access_lost',
  'ended_for_all',
  'ended_by_admin',
] as const;
export type CallEndReason = (typeof CALL_END_REASONS)[number];

/**
 * - `ringing`: the user is being called.
 * - `joined`: they are in the call.
 * - `left`: they were in it.
 * - `declined`, `missed`, `busy`: they were called, and did not answer.
 * - `removed`: they lost the right to be in it.
 */
export const PARTICIPANT_STATES = [
  'ringing',
  'joined',
  'left',
  'declined',
  'missed',
  'busy',
  'removed',
] as const;
export type ParticipantState = (typeof PARTICIPANT_STATES)[number];

/** The connection by which the server knows that a participant is still there. */
export interface CallConnectionRecord {
  /** The socket by which they joined, or their PeerJS connection as soon as there is one. */
  kind: 'socket' | 'peer';
  id: string;
  /** The node that holds the connection. */
  nodeId: string;
}

export interface CallParticipant {
  userId: ObjectId;
  state: ParticipantState;
  /** The user who called them; null for those who joined by themselves. */
  invitedBy: ObjectId | null;
  /** While ringing: when it stops. */
  ringUntil: Date | null;
  /** While joined: the device on which they are in the call. */
  place: { sessionId: ObjectId; peerId: string } | null;
  /** Null while the connection is lost, or not there yet. */
  connection: CallConnectionRecord | null;
  /** While joined without a connection: when they are taken out of the call. */
  leaveAt: Date | null;
  /** When they last joined and left. */
  joinedAt: Date | null;
  leftAt: Date | null;
  /** The milliseconds of their earlier stays in this call. */
  talkMs: number;
  /** What they send: their microphone, their camera, their screen. */
  audio: boolean;
  video: boolean;
  screen: boolean;
  /** Whether they raise their hand. */
  hand: boolean;
  /** Set until they have been notified of a missed call. */
  notifyDue?: true;
}

/** A call in a channel. At most one call of a channel is open, and a user has joined at most one call. */
export interface VideoCallDocument {
  _id: ObjectId;
  channelId: ObjectId;
  /** Null in direct conversations. */
  groupId: ObjectId | null;
  /** Whether it is in a conversation of two: it ends when one of them leaves. */
  pair: boolean;
  media: CallMedia;
  startedBy: ObjectId;
  state: CallState;
  /** Null until it has ended. */
  outcome: CallOutcome | null;
  endReason: CallEndReason | null;
  /** The user who ended it for everybody. */
  endedBy: ObjectId | null;
  /** In the order in which they came in. */
  participants: CallParticipant[];
  /** Grows with each change. */
  version: number;
  /** Missing once it has ended. */
  open?: true;
  /** The users who have joined. Missing when there are none, since a unique index would count that as a value. */
  inCall?: ObjectId[];
  /** When a time-out is due next. Missing when none is. */
  dueAt?: Date;
  /** Set until its message and notifications show the current state. */
  recordDue?: true;
  /** The version whose message and notifications have been written last. Missing before the first. */
  recordedVersion?: number;
  /** Since when a single person has been in it. Missing for others. */
  aloneSince?: Date;
  /** The message in the channel that shows the call; null until it is written. */
  messageId: ObjectId | null;
  /** The conversation of two in which it began, and its message there, if it was moved to one of several people. */
  movedFrom?: { channelId: ObjectId; messageId: ObjectId | null };
  createdAt: Date;
  /** When the second person joined. */
  answeredAt: Date | null;
  endedAt: Date | null;
}

/** The most people in a call: each of them sends their media to each other one. */
export const MAX_JOINED = 8;
/** The most participants of a call, with those who have left or did not answer. */
export const MAX_CALL_PARTICIPANTS = 64;
/** The most users that one request calls. */
export const MAX_RUNG = 20;

const media = z
  .enum(CALL_MEDIA)
  .meta({ description: '`audio`: participants start without a camera; they can turn it on.' });

/** The id of a peer that Parley has given. */
const ownPeerId = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'must be a peer id of this call')
  .optional()
  .meta({
    description:
      'The `peerId` of an earlier `connection` of this device. With it, the device resumes the call after a disconnection.',
  });

const rungIds = z.array(idSchema).min(1).max(MAX_RUNG);

export const startCallInput = z
  .strictObject({
    userId: idSchema.optional().meta({ description: 'The user to call, in the conversation of the two.' }),
    channelId: idSchema.optional().meta({ description: 'The channel in which to start the call.' }),
    userIds: rungIds.optional().meta({
      description:
        'The readers of the channel to call. By default everybody in a direct conversation, and nobody in a channel of a group: its readers see the call and may join.',
    }),
    media: media.default('video'),
  })
  .refine(
    ({ userId, channelId }) => (userId === undefined) !== (channelId === undefined),
    'requires either userId or channelId',
  )
  .refine(({ userId, userIds }) => userId === undefined || userIds === undefined, {
    path: ['userIds'],
    message: 'requires channelId',
  })
  .meta({ id: 'StartCallInput' });
export type StartCallInput = z.output<typeof startCallInput>;

export const enterCallInput = z.strictObject({ peerId: ownPeerId }).meta({ id: 'EnterCallInput' });
export type EnterCallInput = z.output<typeof enterCallInput>;

export const inviteToCallInput = z.strictObject({ userIds: rungIds }).meta({ id: 'InviteToCallInput' });
export type InviteToCallInput = z.output<typeof inviteToCallInput>;

const callMediaFields = {
  audio: z.boolean().optional().meta({ description: 'Whether the microphone is on.' }),
  video: z.boolean().optional().meta({ description: 'Whether the camera is on.' }),
  screen: z.boolean().optional().meta({ description: 'Whether the screen is shared.' }),
  hand: z.boolean().optional().meta({ description: 'Whether the hand is raised.' }),
};
const changesSomething = (input: object) => Object.values(input).some((value) => value !== undefined);
export const setCallMediaInput = z
  .strictObject(callMediaFields)
  .refine(changesSomething, 'must change something')
  .meta({ id: 'SetCallMediaInput' });
export type SetCallMediaInput = z.output<typeof setCallMediaInput>;

export const callParams = z.strictObject({ callId: idSchema });
export type CallParams = z.output<typeof callParams>;

/** The payloads of the socket events. */
export const enterCallEvent = z.strictObject({ callId: idSchema, peerId: ownPeerId });
export const inviteToCallEvent = z.strictObject({ callId: idSchema, userIds: rungIds });
export const setCallMediaEvent = z
  .strictObject({ callId: idSchema, ...callMediaFields })
  .refine(({ callId: _, ...rest }) => changesSomething(rest), 'must change something');

export const callSchema = z
  .strictObject({
    id: idOut,
    channelId: idOut,
    groupId: idOut.nullable().meta({ description: 'Null in direct conversations.' }),
    media,
    startedBy: idOut,
    state: z.enum(CALL_STATES),
    outcome: z.enum(CALL_OUTCOMES).nullable().meta({ description: 'Null until the call has ended.' }),
    endReason: z.enum(CALL_END_REASONS).nullable(),
    version: z
      .number()
      .int()
      .meta({ description: 'Grows with each change. Ignore a call with a lower version than one you know.' }),
    createdAt: timestampOut,
    answeredAt: timestampOut.nullable().meta({ description: 'When the second person joined.' }),
    endedAt: timestampOut.nullable(),
    durationMs: z
      .number()
      .int()
      .meta({ description: 'From `answeredAt` to `endedAt`, in milliseconds; 0 until the call has ended.' }),
    participants: z.array(
      z.strictObject({
        userId: idOut,
        state: z.enum(PARTICIPANT_STATES),
        peerId: z.string().nullable().meta({ description: 'The PeerJS id of their device, while joined.' }),
        connected: z.boolean().meta({
          description: 'False while their connection is lost. They leave the call 15 seconds later.',
        }),
        joinedAt: timestampOut.nullable().meta({ description: 'When they last joined.' }),
        leftAt: timestampOut.nullable(),
        durationMs: z
          .number()
          .int()
          .meta({ description: 'How long they have been in the call, without the current stay.' }),
        audio: z.boolean(),
        video: z.boolean(),
        screen: z.boolean(),
        hand: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'Call' });
export type Call = z.output<typeof callSchema>;

/** What a device needs to connect to the other participants. */
export const callConnectionSchema = z
  .strictObject({
    peerId: z.string().meta({ description: 'The id of this device: `new Peer(peerId, {token: ticket})`.' }),
    ticket: z.string().meta({ description: 'The `token` of PeerJS. Only this device may use it.' }),
    ticketExpiresAt: timestampOut,
    iceServers: z
      .array(
        z.strictObject({
          urls: z.array(z.string()),
          username: z.string().optional(),
          credential: z.string().optional(),
        }),
      )
      .meta({ description: 'The `iceServers` of an RTCPeerConnection.' }),
    iceExpiresAt: timestampOut
      .nullable()
      .meta({ description: 'When the credentials of the ICE servers expire; null without credentials.' }),
  })
  .meta({ id: 'CallConnection' });
export type CallConnection = z.output<typeof callConnectionSchema>;

export const callReply = z.strictObject({ call: callSchema });
export const enteredCallReply = z.strictObject({ call: callSchema, connection: callConnectionSchema });
export const startedCallReply = z.strictObject({
  call: callSchema,
  created: z.boolean().meta({
    description: 'False if the channel had a call already, which the caller has joined.',
  }),
  connection: callConnectionSchema
    .nullable()
    .meta({ description: 'Null if the call has ended at once, because everybody was busy.' }),
});
export const callsReply = z.strictObject({ calls: z.array(callSchema) });

/** The event that a user receives who is called. */
export const callRingingEvent = z.strictObject({
  call: callSchema,
  silent: z.boolean().meta({
    description: 'If true, show the call without sound, because the user has set do not disturb.',
  }),
});

/** The event that a removed participant receives. */
export const callRemovedEvent = z.strictObject({ callId: idOut, channelId: idOut });

export function toCall(call: VideoCallDocument): Call {
  return {
    id: call._id.toHexString(),
    channelId: call.channelId.toHexString(),
    groupId: call.groupId?.toHexString() ?? null,
    media: call.media,
    startedBy: call.startedBy.toHexString(),
    state: call.state,
    outcome: call.outcome,
    endReason: call.endReason,
    version: call.version,
    createdAt: call.createdAt.toISOString(),
    answeredAt: call.answeredAt?.toISOString() ?? null,
    endedAt: call.endedAt?.toISOString() ?? null,
    durationMs: durationOf(call),
    participants: call.participants.map((one) => ({
      userId: one.userId.toHexString(),
      state: one.state,
      peerId: one.place?.peerId ?? null,
      connected: one.connection !== null,
      joinedAt: one.joinedAt?.toISOString() ?? null,
      leftAt: one.leftAt?.toISOString() ?? null,
      durationMs: one.talkMs,
      audio: one.audio,
      video: one.video,
      screen: one.screen,
      hand: one.hand,
    })),
  };
}

/** How long people talked in a call, in milliseconds; 0 until it has ended. */
export function durationOf({ answeredAt, endedAt }: VideoCallDocument): number {
  return answeredAt && endedAt ? endedAt.getTime() - answeredAt.getTime() : 0;
}
