import type { Event } from '@sentry/core';
import type { ServerRuntimeClient } from '@sentry/core/server';
import { request as requestHttp, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as requestHttps, Agent as HttpsAgent } from 'node:https';
import { hostname } from 'node:os';
import { inTime } from '../utils/in-time';
import type { LoggedError } from '../utils/logger';
import { safeError, type SafeError } from '../utils/redact';
import { VERSION } from '../utils/version';

/** How many errors may be on their way to the collector; further ones are dropped. */
const MAX_PENDING = 30;
/** How long the collector may take for one request. */
const REQUEST_TIMEOUT_MS = 10_000;
/** How long a stopping process waits until errors have been sent. */
const FLUSH_TIMEOUT_MS = 1000;
/** How many errors are sent in a minute at most: one that happens at every request must not flood the collector. */
const MAX_PER_MINUTE = 60;
/** The fields of a log line that are sent as tags: ids, and names from small sets. */
const TAGS = ['event', 'job', 'route', 'part', 'callId'] as const;

/**
 * Sends errors to a collector that speaks the protocol of Sentry. It uses the client of Sentry without any of the
 * integrations that change Node.js or other libraries. What is sent is what the log has, without the address of the user.
 */
export class ErrorTracking {
  private sentThisMinute = 0;
  private minuteEnd = 0;

  private constructor(
    private readonly client: ServerRuntimeClient,
    private readonly agent: HttpAgent,
  ) {}

  /**
   * Loads the libraries, which a server without a collector does without.
   * @param dsn the address of the collector, with the public key of the project in it.
   */
  static async load(dsn: string, environment: string): Promise<ErrorTracking> {
    const [core, server] = await Promise.all([import('@sentry/core'), import('@sentry/core/server')]);
    const isSecure = dsn.startsWith('https:');
    const connections = { keepAlive: true, maxSockets: 2 };
    const agent = isSecure ? new HttpsAgent(connections) : new HttpAgent(connections);
    const client = new server.ServerRuntimeClient({
      dsn,
      environment,
      release: `parley@${VERSION}`,
      platform: 'node',
      runtime: { name: 'node', version: process.version },
      serverName: hostname(),
      integrations: [],
      sendClientReports: false,
      stackParser: core.createStackParser(server.nodeStackLineParser()),
      transport: ({ url, recordDroppedEvent }) =>
        core.createTransport({ recordDroppedEvent, bufferSize: MAX_PENDING }, ({ body }) =>
          post(new URL(url), body, agent),
        ),
    });
    client.init();
    return new ErrorTracking(client, agent);
  }

  /** Sends an error. Never throws, and does not wait for the collector. */
  report({ error, what, level, fields }: LoggedError): void {
    try {
      if (!this.mayReport()) return;
      this.client.captureEvent(this.eventOf(safeError(error), what, level, fields));
    } catch {
      // Tracking must not cause errors of its own. The log has this one.
    }
  }

  /** Waits for a short time until what was reported has been sent. */
  async stop(): Promise<void> {
    await inTime(
      Promise.resolve(this.client.flush(FLUSH_TIMEOUT_MS)).catch(() => false),
      FLUSH_TIMEOUT_MS,
    );
    this.agent.destroy();
  }

  private mayReport(): boolean {
    const now = performance.now();
    if (now >= this.minuteEnd) {
      this.minuteEnd = now + 60_000;
      this.sentThisMinute = 0;
    }
    return ++this.sentThisMinute <= MAX_PER_MINUTE;
  }

  private eventOf(
    error: SafeError,
    what: string,
    level: LoggedError['level'],
    fields: LoggedError['fields'],
  ): Event {
    const { stackParser } = this.client.getOptions();
    const causes: SafeError[] = [];
    for (let each: SafeError | undefined = error; each; each = each.cause) causes.push(each);
    const tags = Object.fromEntries(
      TAGS.flatMap((name) => (typeof fields[name] === 'string' ? [[name, fields[name]]] : [])),
    ) as Record<string, string>;
    const { userId, req } = fields as { userId?: unknown; req?: { id?: unknown } };
    return {
      level,
      logger: what,
      // The last one is the error itself.
      exception: {
        values: causes.reverse().map(({ type, message, stack }) => ({
          type,
          value: message,
          ...(stack !== undefined && { stacktrace: { frames: stackParser(`Error\n${stack}`) } }),
          mechanism: { type: 'generic', handled: level !== 'fatal' },
        })),
      },
      tags: { ...tags, ...(typeof req?.id === 'string' && { request_id: req.id }) },
      ...(typeof userId === 'string' && { user: { id: userId } }),
    };
  }
}

/** Posts to the collector. A collector that is slow or away costs a socket and some memory, and nothing else. */
function post(url: URL, body: string | Uint8Array, agent: HttpAgent) {
  return new Promise<{ statusCode?: number; headers: RateLimits }>((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(
      url,
      {
        method: 'POST',
        agent,
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
        headers: { 'Content-Type': 'application/x-sentry-envelope' },
      },
      (response) => {
        response.on('error', () => undefined).resume();
        resolve({
          ...(response.statusCode !== undefined && { statusCode: response.statusCode }),
          headers: rateLimitsOf(response),
        });
      },
    );
    request.on('socket', (socket) => socket.unref());
    request.on('error', reject);
    request.end(body);
  });
}

type RateLimits = Record<'retry-after' | 'x-sentry-rate-limits', string | null>;

function rateLimitsOf({ headers }: IncomingMessage): RateLimits {
  const limits = headers['x-sentry-rate-limits'];
  return {
    'retry-after': headers['retry-after'] ?? null,
    'x-sentry-rate-limits': (Array.isArray(limits) ? limits[0] : limits) ?? null,
  };
}
