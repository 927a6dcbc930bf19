import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, timestampOut } from '../kernel/common.model';
import {
  CALL_MEDIA,
  CALL_OUTCOMES,
  CALL_STATES,
  durationOf,
  MAX_CALL_PARTICIPANTS,
  type CallMedia,
  type CallOutcome,
  type CallState,
  type VideoCallDocument,
} from '../video-call.model';

/** What a message shows of the call that it is about. */
export interface StoredMessageCall {
  callId: ObjectId;
  media: CallMedia;
  state: CallState;
  outcome: CallOutcome | null;
  startedAt: Date;
  answeredAt: Date | null;
  durationMs: number;
  /** Those who are or were in the call. */
  participantIds: ObjectId[];
  /** Those who were called and did not answer. */
  missedIds: ObjectId[];
}

const userIds = z.array(idOut).max(MAX_CALL_PARTICIPANTS);

export const messageCallSchema = z
  .strictObject({
    callId: idOut,
    media: z.enum(CALL_MEDIA),
    state: z.enum(CALL_STATES),
    outcome: z.enum(CALL_OUTCOMES).nullable().meta({ description: 'Null until the call has ended.' }),
    startedAt: timestampOut,
    answeredAt: timestampOut.nullable().meta({ description: 'When the second person joined.' }),
    durationMs: z
      .number()
      .int()
      .meta({ description: 'From `answeredAt` to the end, in milliseconds; 0 until the call has ended.' }),
    participantIds: userIds.meta({ description: 'The users who are or were in the call.' }),
    missedIds: userIds.meta({
      description: 'The users who were called and did not answer, or were in another call.',
    }),
  })
  .meta({ id: 'MessageCall' });
export type MessageCall = z.output<typeof messageCallSchema>;

export function toMessageCall({ callId, startedAt, answeredAt, ...call }: StoredMessageCall): MessageCall {
  return {
    ...call,
    callId: callId.toHexString(),
    startedAt: startedAt.toISOString(),
    answeredAt: answeredAt?.toISOString() ?? null,
    participantIds: call.participantIds.map((id) => id.toHexString()),
    missedIds: call.missedIds.map((id) => id.toHexString()),
  };
}

/** Returns what the message of a call shows of its current state. */
export function toStoredMessageCall(call: VideoCallDocument): StoredMessageCall {
  const { _id: callId, media, state, outcome, createdAt: startedAt, answeredAt, participants } = call;
  return {
    callId,
    media,
    state,
    outcome,
    startedAt,
    answeredAt,
    durationMs: durationOf(call),
    participantIds: participants.filter(({ joinedAt }) => joinedAt !== null).map(({ userId }) => userId),
    missedIds: participants
      .filter(({ state: own }) => own === 'missed' || own === 'busy')
      .map(({ userId }) => userId),
  };
}
