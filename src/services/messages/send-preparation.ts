import type { ObjectId } from 'mongodb';
import type { ChannelDocument } from '../../models/channel.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import { actorOf, refusalError, type Access } from '../access/access';
import { hasRank } from '../access/access-rules';
import { keyOfDraft, type ChannelBatch, type ComposedMessage } from './message-batch';
import { isPlain, type MessageComposer, type MessageDraft } from './message-composer';
import { slowModeError, type SlowMode } from './slow-mode';

/** What became of the drafts of one channel. */
export interface PreparedDrafts {
  /** The messages that can be written. */
  batch: ChannelBatch;
  /** The error of each draft whose sender may not send, by key. */
  forbidden: Map<string, AppError>;
  /** The error of each other draft that cannot be sent, by key: unless it has been sent before. */
  refused: Map<string, AppError>;
}

const senderIdOf = ({ sender }: MessageDraft) => sender.userId.toHexString();
/** Whether a user sends it, so that it requires their rights: not a message that the server writes about a call. */
const isFromUser = ({ call }: MessageDraft) => call === undefined;

/** Decides which drafts may be sent, and composes their messages. */
export class SendPreparation {
  constructor(
    private readonly access: Access,
    private readonly slowMode: SlowMode,
    private readonly composer: MessageComposer,
  ) {}

  /**
   * Prepares plain texts by what is remembered, without a query.
   * @param channel a state of the channel, which may be outdated.
   * @param drafts if some of them have been sent before, the write will tell.
   * @returns undefined if something has to be read, or if somebody may not send: use `prepare`.
   */
  prepareAtOnce(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    idOf: (draft: MessageDraft) => ObjectId,
  ): PreparedDrafts | undefined {
    if (channel.slowModeSeconds > 0 || !drafts.every(isPlain)) return undefined;
    if (!this.access.isKnownToAllow(channel, 'message.send', sendersOf(drafts).map(actorOf))) {
      return undefined;
    }
    const messages = withoutRepeated(drafts).map((draft): ComposedMessage => {
      return { _id: idOf(draft), draft, content: { body: draft.body } };
    });
    return { batch: { channel, messages, slowedSenders: [] }, forbidden: new Map(), refused: new Map() };
  }

  /**
   * Prepares drafts, with one access decision for all senders.
   * @param channel a state of the channel, which may be outdated.
   * @param remembered whether it is remembered, and so must not be the reason for a refusal.
   * @param sent the messages of drafts that have been sent before, by key: they are not prepared.
   * @param idOf returns the id of the message of a draft.
   * @returns undefined if the channel has to be read again for the decision.
   */
  async prepare(
    channel: ChannelDocument,
    remembered: boolean,
    drafts: readonly MessageDraft[],
    sent: ReadonlyMap<string, unknown>,
    idOf: (draft: MessageDraft) => ObjectId,
  ): Promise<PreparedDrafts | undefined> {
    const decided = await this.decide(channel, drafts.filter(isFromUser), remembered);
    if (!decided) return undefined;
    const { refusals, slowed } = decided;
    const forbidden = new Map<string, AppError>();
    const refused = new Map<string, AppError>();
    const fresh = new Map<string, MessageDraft>();
    for (const draft of drafts) {
      const key = keyOfDraft(draft);
      const error = isFromUser(draft) ? refusals.get(senderIdOf(draft)) : undefined;
      if (error) forbidden.set(key, error);
      else if (!sent.has(key) && !fresh.has(key)) fresh.set(key, draft);
    }
    const isSlowed = (draft: MessageDraft) => isFromUser(draft) && slowed.has(senderIdOf(draft));
    const due = await this.withoutWaiting(channel, [...fresh.values()], isSlowed, refused);
    const contents = await this.composer.compose(channel, due);
    const messages = due.flatMap((draft, index): ComposedMessage[] => {
      const content = contents[index]!;
      if (!(content instanceof AppError)) return [{ _id: idOf(draft), draft, content }];
      refused.set(keyOfDraft(draft), content);
      return [];
    });
    const slowedSenders =
      channel.slowModeSeconds > 0
        ? messages.filter(({ draft }) => isSlowed(draft)).map(({ draft }) => draft.sender.userId)
        : [];
    return { batch: { channel, messages, slowedSenders }, forbidden, refused };
  }

  /** @returns the errors of the senders who may not send, and the senders to whom slow mode applies, by id. */
  private async decide(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    remembered: boolean,
  ): Promise<{ refusals: Map<string, AppError>; slowed: Set<string> } | undefined> {
    const senders = sendersOf(drafts);
    const decisions = await this.access.decideForUsers(channel, 'message.send', senders.map(actorOf));
    if (remembered && !decisions.every(({ decision }) => decision.allowed && !decision.overrides)) {
      return undefined;
    }
    const refusals = new Map<string, AppError>();
    const slowed = new Set<string>();
    for (const [index, sender] of senders.entries()) {
      const { decision, role } = decisions[index]!;
      const id = sender.userId.toHexString();
      if (!decision.allowed) refusals.set(id, refusalError(decision));
      else if (decision.overrides) {
        await this.access.recordOverride(sender, 'message.send', 'channel', channel._id);
      } else if (!hasRank(role, 'moderator')) slowed.add(id);
    }
    return { refusals, slowed };
  }

  /** @returns the drafts whose senders need not wait for slow mode; the others are refused. */
  private async withoutWaiting(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    isSlowed: (draft: MessageDraft) => boolean,
    refused: Map<string, AppError>,
  ): Promise<MessageDraft[]> {
    if (channel.slowModeSeconds === 0) return [...drafts];
    const senderIds = drafts.filter(isSlowed).map(({ sender }) => sender.userId);
    const waiting = await this.slowMode.waitingTimes(channel, senderIds);
    return drafts.filter((draft) => {
      if (!isSlowed(draft)) return true;
      const seconds = waiting.get(senderIdOf(draft));
      // An accepted draft makes the sender's next ones wait.
      if (seconds === undefined) waiting.set(senderIdOf(draft), channel.slowModeSeconds);
      else refused.set(keyOfDraft(draft), slowModeError(seconds));
      return seconds === undefined;
    });
  }
}

/** The senders of drafts, each once. */
function sendersOf(drafts: readonly MessageDraft[]): Caller[] {
  if (drafts.length === 1) return [drafts[0]!.sender];
  return [...new Map(drafts.map((draft) => [senderIdOf(draft), draft.sender])).values()];
}

/** The drafts without those that repeat an earlier one. */
function withoutRepeated(drafts: readonly MessageDraft[]): readonly MessageDraft[] {
  if (drafts.length === 1) return drafts;
  const first = new Map<string, MessageDraft>();
  for (const draft of drafts) {
    const key = keyOfDraft(draft);
    if (!first.has(key)) first.set(key, draft);
  }
  return [...first.values()];
}
