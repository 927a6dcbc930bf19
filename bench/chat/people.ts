import { call } from '../demo/rest';

/** A channel and the access tokens of its members. */
export interface Room {
  channelId: string;
  tokens: string[];
}

/** The number of concurrent calls. */
const CONCURRENCY = 16;

/** Registers users as members of a public channel in a group. The first user owns both. */
export async function createRoom(url: string, people: number): Promise<Room> {
  const owner = await register(url, 0);
  const { group } = await call<{ group: { id: string } }>(url, 'POST', '/api/groups', owner, {
    name: 'Bench',
    visibility: 'public',
  });
  const { channel } = await call<{ channel: { id: string } }>(url, 'POST', '/api/channels', owner, {
    groupId: group.id,
    name: 'general',
  });
  const tokens = [owner];
  let next = 1;
  const admit = async () => {
    while (next < people) {
      const token = await register(url, next++);
      await call(url, 'POST', `/api/groups/${group.id}/join`, token);
      tokens.push(token);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, admit));
  return { channelId: channel.id, tokens };
}

async function register(url: string, index: number): Promise<string> {
  const { accessToken } = await call<{ accessToken: string }>(url, 'POST', '/api/auth/register', undefined, {
    username: `person${index}`,
    email: `person${index}@example.org`,
    password: 'a password for the bench',
  });
  return accessToken;
}
