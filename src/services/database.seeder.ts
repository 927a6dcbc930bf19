import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Caller } from '../models/identity/session.model';
import { registerInput } from '../models/user.model';
import { AppError } from '../utils/errors';
import { SeededRandom } from '../utils/random';
import type { AuthService } from './identity/auth.service';
import type { ChannelMembershipService } from './channels/channel-membership.service';
import { SeedShowcase, SHOWCASE_USER_COUNT, type ShowcaseServices } from './seed/seed-showcase';
import { CHANNELS, GROUPS, OPENINGS, PEOPLE, SUBJECTS, TAILS } from './seed/seed-texts';

/** The password of every account that the seeder creates. */
export const SEED_PASSWORD = 'parley-sample-data';

export interface SeedPlan {
  /** The same seed gives the same users, groups, channels and texts. */
  seed: number;
  users: number;
  messages: number;
}

export interface SeedSummary {
  users: number;
  groups: number;
  channels: number;
  messages: number;
  /** Log in as this user to see the most. */
  firstUsername: string;
}

interface SeededUser {
  id: string;
  username: string;
  caller: Caller;
}

interface SeededChannel {
  id: string;
  members: [SeededUser, ...SeededUser[]];
}

/** The number of concurrent sends to a channel, which share writes; the queue of the channel keeps their order. */
const CONCURRENT_SENDS = 64;

/** Fills an empty database with sample data, through the same services that clients use. */
export class DatabaseSeeder {
  constructor(
    private readonly collections: Collections,
    private readonly services: ShowcaseServices & {
      auth: AuthService;
      channelMembership: ChannelMembershipService;
    },
  ) {}

  /**
   * @param onProgress receives the number of completed steps and of all steps.
   * @throws AppError bad_request if there are accounts already
   */
  async seed(
    plan: SeedPlan,
    onProgress: (done: number, all: number) => void = () => {},
  ): Promise<SeedSummary> {
    if (await this.collections.users.findOne({}, { projection: { _id: 1 } })) {
      throw new AppError('bad_request', 'The database has accounts already; `npm run clear` empties it.');
    }
    const random = new SeededRandom(plan.seed);
    const all = Math.max(plan.users, 2) + GROUPS.length + plan.messages;
    let done = 0;
    const step = () => onProgress(++done, all);

    const users = await this.createUsers(plan.users, step);
    const channels: SeededChannel[] = [];
    for (const group of GROUPS) {
      channels.push(...(await this.createGroup(group, users, random)));
      step();
    }
    await this.writeMessages(channels, plan, random, step);
    if (users.length >= SHOWCASE_USER_COUNT) await new SeedShowcase(this.services).create(users);
    const stored = this.collections;
    return {
      users: users.length,
      groups: await stored.groups.countDocuments(),
      channels: await stored.channels.countDocuments(),
      messages: await stored.messages.countDocuments(),
      firstUsername: users[0].username,
    };
  }

  private async createUsers(count: number, step: () => void): Promise<[SeededUser, ...SeededUser[]]> {
    const users: SeededUser[] = [];
    for (let index = 0; index < Math.max(count, 2); index++) {
      const [first, last] = PEOPLE[index % PEOPLE.length] as [string, string];
      const round = Math.floor(index / PEOPLE.length);
      const username = `${first}.${last}${round === 0 ? '' : round}`.toLowerCase();
      const user = await this.services.auth.createAccount(
        registerInput.parse({
          username,
          email: `${username}@example.org`,
          password: SEED_PASSWORD,
          displayName: `${first} ${last}`,
        }),
        { address: '' },
      );
      // The services check the caller but not the session, so the seeder can act for every user without logging in.
      const caller = { userId: user._id, sessionId: new ObjectId(), role: user.role, address: '' };
      users.push({ id: user._id.toHexString(), username, caller });
      step();
    }
    return users as [SeededUser, ...SeededUser[]];
  }

  /** The first user owns every group; the others join about half of them. */
  private async createGroup(
    { name, description, visibility }: (typeof GROUPS)[number],
    users: [SeededUser, ...SeededUser[]],
    random: SeededRandom,
  ): Promise<SeededChannel[]> {
    const [owner, ...others] = users;
    const group = await this.services.groups.create(owner.caller, {
      name,
      description,
      visibility,
      joinPolicy: 'open',
    });
    const members: [SeededUser, ...SeededUser[]] = [owner];
    for (const user of others) {
      if (random.next() < 0.5 && user !== others[0]) continue;
      await this.services.groupMembers.add(owner.caller, group.id, user.id);
      members.push(user);
    }
    const channels: SeededChannel[] = [];
    for (const channel of CHANNELS) {
      const { id } = await this.services.channels.create(owner.caller, { groupId: group.id, ...channel });
      const isPrivate = channel.visibility === 'private';
      const insiders = isPrivate ? members.slice(1, 3) : [];
      for (const user of insiders) await this.services.channelMembership.add(owner.caller, id, user.id);
      channels.push({ id, members: isPrivate ? [owner, ...insiders] : members });
    }
    return channels;
  }

  /** Texts are generated before the first send, so that they do not depend on timing. */
  private async writeMessages(
    channels: SeededChannel[],
    plan: SeedPlan,
    random: SeededRandom,
    step: () => void,
  ): Promise<void> {
    const sendsByChannel = new Map<
      SeededChannel,
      { sender: SeededUser; clientMessageId: string; body: string }[]
    >();
    for (let index = 0; index < plan.messages; index++) {
      const channel = random.pick(channels as [SeededChannel, ...SeededChannel[]]);
      const sends = sendsByChannel.get(channel) ?? [];
      sends.push({
        sender: random.pick(channel.members),
        clientMessageId: `seed-${plan.seed}-${index}`,
        body: `${random.pick(OPENINGS)} ${random.pick(SUBJECTS)} ${random.pick(TAILS)}`,
      });
      sendsByChannel.set(channel, sends);
    }
    for (const [channel, sends] of sendsByChannel) {
      for (let start = 0; start < sends.length; start += CONCURRENT_SENDS) {
        const running = sends.slice(start, start + CONCURRENT_SENDS).map(async ({ sender, ...input }) => {
          await this.services.messages.send(sender.caller, channel.id, input);
          step();
        });
        await Promise.all(running);
      }
    }
  }
}
