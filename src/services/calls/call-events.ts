import type { ObjectId } from 'mongodb';
import type {
  CallConnectionRecord,
  CallEndReason,
  SetCallMediaInput,
  VideoCallDocument,
} from '../../models/video-call.model';
import type { ErrorCode } from '../../utils/errors';

/** The device on which a user enters a call. */
export interface Device {
  sessionId: ObjectId;
  /** The peer id that it gets, unless it resumes an earlier one. */
  newPeerId: string;
  /** Its peer id in this call before a disconnection. */
  peerId?: string;
  /** Its open connection to the server, if that is known. */
  connection: CallConnectionRecord | null;
}

/** Something that happens to a call. */
export type CallEvent =
  /** A user who is called answers. */
  | { type: 'accept'; userId: ObjectId; device: Device }
  /** A reader of the channel comes in, resumes after a disconnection, or moves to another device. */
  | { type: 'join'; userId: ObjectId; device: Device }
  | { type: 'decline'; userId: ObjectId }
  | { type: 'cancel'; userId: ObjectId }
  /** @property sessionId only if this session is in the call; any by default. */
  | { type: 'leave'; userId: ObjectId; sessionId?: ObjectId }
  /** @property busy those of `userIds` who are in another call. */
  | { type: 'invite'; userId: ObjectId; userIds: ObjectId[]; busy: ObjectId[] }
  /**
   * A call of two goes on in a conversation of several people, to which `userIds` belong.
   * @property busy those of `userIds` who are in another call.
   */
  | { type: 'move'; userId: ObjectId; channelId: ObjectId; userIds: ObjectId[]; busy: ObjectId[] }
  | { type: 'set_media'; userId: ObjectId; changes: SetCallMediaInput }
  /** The peer of a participant has connected. */
  | {
      type: 'attach';
      userId: ObjectId;
      sessionId: ObjectId;
      peerId: string;
      connection: CallConnectionRecord;
    }
  /** A connection was lost. */
  | { type: 'detach'; userId: ObjectId; connectionId: string }
  /** The nodes on which connections were have stopped. */
  | { type: 'lose_nodes'; nodeIds: ReadonlySet<string> }
  /** Users lost the right to be in the call. */
  | { type: 'remove'; userIds: ObjectId[] }
  /** Time has passed. */
  | { type: 'time' }
  /** The call ends for everybody. */
  | { type: 'end'; userId: ObjectId | null; reason: CallEndReason };

export type CallEventType = CallEvent['type'];

/** The result of an event. */
export interface Transition {
  /** The call after the event: the same object if nothing has changed. */
  call: VideoCallDocument;
  /** The users who are called from now on. */
  rung: ObjectId[];
  /** The users who were in the call or called, and may not be any more. */
  removed: ObjectId[];
}

/** A call that a handler may change, and what is to be told. */
export interface Draft {
  call: VideoCallDocument;
  now: Date;
  rung: ObjectId[];
  removed: Transition['removed'];
  /** What ends the call, if it ends by this event. */
  endReason: CallEndReason;
}

/** Changes the draft. @returns the code of a refusal, or `same` if the event changes nothing. */
export type Handler<Event> = (draft: Draft, event: Event) => ErrorCode | 'same' | undefined;
