import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Caller } from '../models/identity/session.model';
import { registerInput } from '../models/user.model';
import { AppError } from '../utils/errors';
import { SeededRandom } from '../utils/random';
import type { AuthService } from './identity/auth.service';
import type { ChannelMembershipService } from './channels/channel-membership.service';
import { SeedShowcase, SHOWCASE_PEOPLE, type ShowcaseServices } from './seed/seed-showcase';
import { CHANNELS, GROUPS, OPENINGS, PEOPLE, SUBJECTS, TAILS } from './seed/seed-texts';

/** The password of every account that the seeder makes. */
export const SEED_PASSWORD = 'parley-sample-data';

export interface SeedPlan {
  /** The same seed gives the same people, groups, channels and texts. */
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

/** Sends that are under way at once in a channel, which share writes; the line of the channel keeps their order. */
const SENDS_AT_ONCE = 64;

/** Fills an empty database with people who talk, through the same services that clients reach. */
export class DatabaseSeeder {
  constructor(
    private readonly collections: Collections,
    private readonly services: ShowcaseServices & {
      auth: AuthService;
      channelMembership: ChannelMembershipService;
    },
  ) {}

  /**
   * @param onProgress is told how many of all steps are done.
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
    if (users.length >= SHOWCASE_PEOPLE) await new SeedShowcase(this.services).show(users);
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
      // The services ask only who calls. The seeder speaks for everybody without a session of theirs.
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

  /** Texts are drawn before anything is sent, so that timing has no say in them. */
  private async writeMessages(
    channels: SeededChannel[],
    plan: SeedPlan,
    random: SeededRandom,
    step: () => void,
  ): Promise<void> {
    const lines = new Map<SeededChannel, { sender: SeededUser; clientMessageId: string; body: string }[]>();
    for (let index = 0; index < plan.messages; index++) {
      const channel = random.pick(channels as [SeededChannel, ...SeededChannel[]]);
      const line = lines.get(channel) ?? [];
      line.push({
        sender: random.pick(channel.members),
        clientMessageId: `seed-${plan.seed}-${index}`,
        body: `${random.pick(OPENINGS)} ${random.pick(SUBJECTS)} ${random.pick(TAILS)}`,
      });
      lines.set(channel, line);
    }
    for (const [channel, line] of lines) {
      for (let start = 0; start < line.length; start += SENDS_AT_ONCE) {
        const sends = line.slice(start, start + SENDS_AT_ONCE).map(async ({ sender, ...input }) => {
          await this.services.messages.send(sender.caller, channel.id, input);
          step();
        });
        await Promise.all(sends);
      }
    }
  }
}
