import { setTimeout as pause } from 'node:timers/promises';
import sharp from 'sharp';
import { io } from 'socket.io-client';
import { createChannel, PASSWORD, register, rest, upload } from './http';

/** An action of a user who is not part of the attack, and its interval in milliseconds. */
interface Measure {
  what: string;
  every: number;
  act: (index: number) => Promise<unknown>;
}

/** The durations of an action in milliseconds, ascending. */
export interface Latencies {
  what: string;
  took: number[];
  /** How many were refused or not answered. */
  failed: number;
}

/** An action that takes longer has failed. */
const ACTION_TIMEOUT_MS = 90_000;

/** The actions of users who are not part of the attack, each measured in a loop of its own. */
export class Bystanders {
  private constructor(
    private readonly measures: Measure[],
    readonly close: () => void,
  ) {}

  static async create(url: string): Promise<Bystanders> {
    const token = await register(url, 'bystander', homeAddress(0));
    await register(url, 'traveller', homeAddress(0));
    const channelId = await createChannel(url, token, homeAddress(0));
    const socket = io(url, { auth: { token }, transports: ['websocket'] });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    const picture = await sharp({ create: { width: 320, height: 240, channels: 3, background: '#369' } })
      .jpeg()
      .toBuffer();
    const document = new Blob(['A line of a document.\n'.repeat(500)]);
    let sent = 0;
    const measures: Measure[] = [
      {
        what: 'message, send to ack',
        every: 50,
        act: async () => {
          const payload = { channelId, clientMessageId: `message${sent++}`, body: 'Hello' };
          const answer = (await socket.timeout(ACTION_TIMEOUT_MS).emitWithAck('message:send', payload)) as {
            ok: boolean;
          };
          if (!answer.ok) throw new Error(`A message was refused: ${JSON.stringify(answer)}`);
        },
      },
      {
        what: 'GET overview',
        every: 100,
        act: (index) => rest(url, 'GET', '/api/client/overview', { token, address: homeAddress(index) }),
      },
      {
        what: 'upload of a small picture',
        every: 200,
        act: (index) => upload(url, token, homeAddress(index), new Blob([picture]), 'picture.jpg'),
      },
      {
        what: 'upload of a document of 11 kB',
        every: 200,
        act: (index) => upload(url, token, homeAddress(index), document, 'document.txt'),
      },
      {
        what: 'log-in',
        every: 500,
        act: (index) =>
          rest(url, 'POST', '/api/auth/login', {
            address: homeAddress(index),
            body: { identifier: 'traveller', password: PASSWORD },
          }),
      },
    ];
    return new Bystanders(measures, () => socket.close());
  }

  /** Measures for a number of seconds, and until the last action has ended. */
  measure(seconds: number): Promise<Latencies[]> {
    return Promise.all(this.measures.map((each) => measureOne(each, seconds * 1000)));
  }
}

async function measureOne({ what, every, act }: Measure, duration: number): Promise<Latencies> {
  const took: number[] = [];
  let failed = 0;
  const begin = performance.now();
  for (let index = 0; performance.now() - begin < duration; index++) {
    const start = performance.now();
    const late = new AbortController();
    await Promise.race([
      act(index),
      pause(ACTION_TIMEOUT_MS, undefined, { signal: late.signal }).then(() => {
        throw new Error('There was no answer in time.');
      }),
    ])
      .catch(() => failed++)
      .finally(() => late.abort());
    took.push(performance.now() - start);
    await pause(Math.max(0, every - (performance.now() - start)));
  }
  return { what, took: took.sort((one, other) => one - other), failed };
}

/**
 * Returns an address in the range for examples (RFC 5737). Bystanders use many addresses, so that no limit per address
 * applies.
 */
function homeAddress(index: number): string {
  return `203.0.113.${index % 250}`;
}
