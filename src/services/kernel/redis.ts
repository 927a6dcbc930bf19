import { Redis } from 'ioredis';
import { hostname } from 'node:os';
import { inTime } from '../../utils/in-time';
import type { Logger } from '../../utils/logger';
import { METRICS } from './metrics';
import type { Telemetry } from './telemetry';

/** Timeouts and intervals. */
export interface RedisTiming {
  /** Until a new connection is open. */
  connectMs: number;
  /** Until a command is answered. */
  commandMs: number;
  /**
   * Between two pings on each connection, which detect connections that died silently. It is also the timeout of a ping on
   * the connection for subscriptions, because reconnecting it costs every client of this node a `sync`.
   */
  pingMs: number;
}

const TIMING: RedisTiming = { connectMs: 5000, commandMs: 2000, pingMs: 5000 };

/** How long closing a connection may take when the server stops. */
const CLOSE_TIMEOUT_MS = 1000;

/** How often an outage is logged at most, however many attempts fail. */
const LOG_INTERVAL_MS = 60_000;

/** A subscription to channels of Redis. */
export interface RedisSubscription {
  channels: readonly string[];
  /** Receives a message. It must not throw. */
  receive: (channel: string, message: Buffer) => void;
  /** Called whenever the channels have been subscribed to. Messages before that were missed. */
  subscribed: () => void | Promise<void>;
}

/**
 * The connections of this process to Redis: one for commands, which all share, and one for subscriptions. They
 * reconnect automatically. While Redis cannot be reached, commands fail at once and are not queued, so that an outage
 * delays no request and fills no memory; the sender of a command handles the failure.
 */
export class RedisConnections {
  /** The connection for all commands except subscriptions. */
  readonly commands: Redis;
  private readonly subscriber: Redis;
  private readonly subscriptions: RedisSubscription[] = [];
  private subscribing: Promise<void> = Promise.resolve();
  private pinging: NodeJS.Timeout | undefined;
  private readonly awaitingPong = new Set<Redis>();
  private isStopped = false;
  private failures = 0;
  /** Receives how long each ping on the connection for commands took, in milliseconds. */
  private onPing: (milliseconds: number) => void = () => undefined;
  /** The number of failed attempts and lost connections that have not been logged yet. */
  private unloggedFailures = 0;
  private lastLogAt = -Infinity;
  private isOutageLogged = false;

  /**
   * Opens no connection before `start`.
   * @param url the value of REDIS_URL.
   * @param name part of the name that `CLIENT LIST` shows, with the host, the process and the purpose of the connection.
   */
  constructor(
    url: string,
    name: string,
    private readonly logger: Pick<Logger, 'info' | 'warn'>,
    private readonly timing = TIMING,
  ) {
    const open = (purpose: string, options: { commandTimeout: number; autoResubscribe?: boolean }) => {
      const redis = new Redis(url, {
        lazyConnect: true,
        connectTimeout: timing.connectMs,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 1,
        connectionName: ['parley', name, hostname(), process.pid, purpose].join(':').replace(/[^!-~]/g, '_'),
        ...options,
      });
      redis.on('error', (error: Error) => this.recordFailure(error));
      redis.on('ready', () => {
        this.recordRecovery();
        redis.once('close', () => {
          if (!this.isStopped) this.recordFailure(new Error('A connection was lost.'));
        });
      });
      return redis;
    };
    this.commands = open('commands', { commandTimeout: timing.commandMs });
    this.subscriber = open('subscriptions', {
      commandTimeout: timing.pingMs,
      autoResubscribe: false,
    });
    this.subscriber.on('ready', () => {
      this.subscribing = this.listen(this.subscriptions);
    });
    this.subscriber.on('messageBuffer', (name: Buffer, message: Buffer) => {
      const channel = name.toString();
      for (const { channels, receive } of this.subscriptions) {
        if (channels.includes(channel)) receive(channel, message);
      }
    });
  }

  /** Whether both connections are open, so that commands can be sent and messages arrive. */
  get isReady(): boolean {
    return !this.isStopped && this.commands.status === 'ready' && this.subscriber.status === 'ready';
  }

  /** Adds both connections to the metrics. */
  observe(telemetry: Telemetry): void {
    for (const [connection, redis] of [
      ['commands', this.commands],
      ['subscriptions', this.subscriber],
    ] as const) {
      telemetry.gauge(METRICS.redisConnected).observe({ connection }, () => Number(redis.status === 'ready'));
    }
    telemetry.counter(METRICS.redisFailures).observe({}, () => this.failures);
    const pings = telemetry.histogram(METRICS.redisPings);
    this.onPing = (milliseconds) => pings.record({}, milliseconds / 1000);
  }

  /** Resolves when both are connected or have failed once; then they continue to try in the background. */
  async start(): Promise<void> {
    await Promise.allSettled([this.commands.connect(), this.subscriber.connect()]);
    await this.subscribing;
    this.pinging = setInterval(() => {
      for (const redis of [this.commands, this.subscriber]) this.ping(redis);
    }, this.timing.pingMs);
    this.pinging.unref();
  }

  /** Closes both connections, started or not, after Redis has received all commands that were sent before. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearInterval(this.pinging);
    await Promise.all([this.subscriber, this.commands].map((redis) => close(redis)));
  }

  /** Subscribes to channels now, or as soon as Redis can be reached, and again after each reconnection. */
  async subscribe(subscription: RedisSubscription): Promise<void> {
    this.subscriptions.push(subscription);
    if (this.subscriber.status === 'ready') await this.listen([subscription]);
  }

  private async listen(subscriptions: readonly RedisSubscription[]): Promise<void> {
    for (const { channels, subscribed } of [...subscriptions]) {
      try {
        await this.subscriber.subscribe(...channels);
        await subscribed();
      } catch (error) {
        this.recordFailure(error);
        // It subscribes again after it has reconnected.
        this.subscriber.disconnect(true);
        return;
      }
    }
  }

  /** Sends a ping, and reconnects if it is not answered. The next ping is sent when this one has ended. */
  private ping(redis: Redis): void {
    if (redis.status !== 'ready' || this.awaitingPong.has(redis)) return;
    this.awaitingPong.add(redis);
    const start = performance.now();
    redis
      .ping()
      .then(() => {
        if (redis === this.commands) this.onPing(performance.now() - start);
      })
      .catch(() => {
        if (redis.status !== 'ready') return;
        const closed = next(redis, 'close');
        redis.disconnect(true);
        return closed;
      })
      .finally(() => this.awaitingPong.delete(redis));
  }

  private recordFailure(error: unknown): void {
    this.failures++;
    this.unloggedFailures++;
    if (performance.now() - this.lastLogAt < LOG_INTERVAL_MS) return;
    this.logger.warn({ err: error, failures: this.unloggedFailures }, 'Redis cannot be reached');
    this.lastLogAt = performance.now();
    this.unloggedFailures = 0;
    this.isOutageLogged = true;
  }

  private recordRecovery(): void {
    if (!this.isReady || !this.isOutageLogged) return;
    this.logger.info('Redis can be reached again');
    this.isOutageLogged = false;
  }
}

/** Closes a connection. QUIT is sent only on an open one: otherwise the client would connect first, or wait for Redis. */
async function close(redis: Redis): Promise<void> {
  const isOpen = redis.status === 'ready';
  const ended = isOpen ? next(redis, 'end') : Promise.resolve();
  if (isOpen) await redis.quit().catch(() => undefined);
  redis.disconnect();
  await inTime(ended, CLOSE_TIMEOUT_MS);
}

/** Resolves at the next event. `once` of node:events would reject at an error, and there are many. */
function next(redis: Redis, event: 'close' | 'end'): Promise<void> {
  return new Promise((resolve) => redis.once(event, () => resolve()));
}
