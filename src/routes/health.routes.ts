import { z } from 'zod';
import { reply } from '../controllers/reply';
import { publicRoute, type ApiRoute } from './api-route';

const liveReply = z.strictObject({ status: z.literal('ok') });
const state = z.enum(['ok', 'failed']);
const readyReply = z.strictObject({
  status: state,
  checks: z.strictObject({
    database: state,
    accepting: state.meta({ description: 'Failed while the server is shutting down.' }),
    jobs: state.meta({
      description:
        'Failed while the last run of a background job has failed. The job is retried, and the server takes requests.',
    }),
    redis: state.optional().meta({
      description:
        'Only with `REDIS_URL`. Failed while Redis cannot be reached. The server takes requests, and clients get what ' +
        'other nodes publish when Redis is back.',
    }),
  }),
});

const stateOf = (good: boolean): z.output<typeof state> => (good ? 'ok' : 'failed');

export interface HealthProbes {
  /** Resolves when the database answers. */
  pingDatabase(): Promise<void>;
  isAccepting(): boolean;
  /** Whether the last run of each background job was a success. */
  areJobsHealthy(): boolean;
  /** Whether events of other nodes arrive; undefined without Redis. */
  isRedisConnected(): boolean | undefined;
}

/** How long the database may take to answer before the server counts as not ready. */
const PING_TIMEOUT_MS = 2000;

export function healthRoutes(probes: HealthProbes): ApiRoute[] {
  const tag = 'Health';
  return [
    publicRoute({
      method: 'get',
      path: '/health/live',
      duringMaintenance: true,
      operationId: 'isLive',
      tag,
      summary: 'Check whether the process is alive.',
      replies: { 200: { description: 'The process is alive.', schema: liveReply } },
      handle: () => Promise.resolve(reply(200, { status: 'ok' as const })),
    }),
    publicRoute({
      method: 'get',
      path: '/health/ready',
      duringMaintenance: true,
      operationId: 'isReady',
      tag,
      summary: 'Check whether the server is ready to accept requests.',
      replies: {
        200: { description: 'The server is ready.', schema: readyReply },
        503: { description: 'The server is not ready; `checks` shows why.', schema: readyReply },
      },
      handle: async () => {
        const database = stateOf(await answersInTime(probes.pingDatabase()));
        const accepting = stateOf(probes.isAccepting());
        const jobs = stateOf(probes.areJobsHealthy());
        const isRedisConnected = probes.isRedisConnected();
        const redis = isRedisConnected === undefined ? {} : { redis: stateOf(isRedisConnected) };
        const ready = database === 'ok' && accepting === 'ok';
        return reply(ready ? 200 : 503, {
          status: stateOf(ready),
          checks: { database, accepting, jobs, ...redis },
        });
      },
    }),
  ];
}

async function answersInTime(ping: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PING_TIMEOUT_MS);
  });
  const answered = ping.then(
    () => true,
    () => false,
  );
  return Promise.race([answered, late]).finally(() => clearTimeout(timer));
}
