import { call } from '../demo/rest';

/** A registered user with an access token. */
export interface Person {
  id: string;
  token: string;
}

/** A group with a public channel, and its members, of whom the first one owns both. */
export interface Room {
  groupId: string;
  channelId: string;
  people: Person[];
}

/** The number of concurrent calls. */
const CONCURRENCY = 16;

/**
 * Registers users as members of a public channel in a group.
 * @param first the number of the first user; the numbers of others must differ.
 */
export async function createRoom(url: string, size: number, first = 0): Promise<Room> {
  const owner = await register(url, first);
  const { group } = await call<{ group: { id: string } }>(url, 'POST', '/api/groups', owner.token, {
    name: `Bench ${first}`,
    visibility: 'public',
  });
  const { channel } = await call<{ channel: { id: string } }>(url, 'POST', '/api/channels', owner.token, {
    groupId: group.id,
    name: 'general',
  });
  const people = [owner];
  let next = 1;
  const admit = async () => {
    while (next < size) {
      const person = await register(url, first + next++);
      await call(url, 'POST', `/api/groups/${group.id}/join`, person.token);
      people.push(person);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, admit));
  return { groupId: group.id, channelId: channel.id, people };
}

async function register(url: string, index: number): Promise<Person> {
  const account = {
    username: `person${index}`,
    email: `person${index}@example.org`,
    password: 'a password for the bench',
  };
  const { user, accessToken } = await call<{ user: { id: string }; accessToken: string }>(
    url,
    'POST',
    '/api/auth/register',
    undefined,
    account,
  );
  return { id: user.id, token: accessToken };
}
