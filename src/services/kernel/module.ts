import type { Database } from '../../db/mongodb';
import type { Logger } from '../../utils/logger';
import { systemClock, type Clock } from './background-job';
import { EventBus } from './event-bus';
import { Freshness } from './freshness';
import { Jobs } from './jobs';
import { KeyedQueue } from './keyed-queue';
import type { Lifecycle } from './lifecycle';
import { NodeQuestions } from './node-questions';
import { NodeRegistry, RENEWAL_MS } from './node-registry';
import { NodeRelay } from './node-relay';
import { NodeRequests } from './node-requests';
import { RedisConnections } from './redis';
import { METRICS } from './metrics';
import { StoredEvents } from './stored-events';
import { Telemetry } from './telemetry';
import type { Tracing } from './tracing';

/**
 * With several nodes: after how long a node reads from the database what it should have learned by an event, if Redis was
 * unavailable or the publishing node has died.
 */
const RECHECK_MS = 10_000;
/** The interval at which a node looks whether the last node of an older version has ended. */
const MIGRATIONS_INTERVAL_MS = 60_000;

export type Kernel = ReturnType<typeof createKernel>;

/** The parts that every domain is built on. */
export function createKernel(
  database: Database,
  lifecycle: Lifecycle,
  logger: Logger,
  settings: {
    databaseName: string;
    redisUrl: string | undefined;
    clock?: Clock | undefined;
    tracing?: Tracing | undefined;
  },
) {
  const { collections, transactions } = database;
  const { databaseName, redisUrl, clock = systemClock, tracing } = settings;
  const bus = new EventBus(transactions);
  const redis = redisUrl === undefined ? undefined : new RedisConnections(redisUrl, databaseName, logger);
  if (redis) lifecycle.register('Redis', redis);
  const nodes = new NodeRegistry({
    collections,
    schema: database,
    clock,
    logger,
    isOnlyNode: database.isEmbedded,
  });
  lifecycle.register('node registry', nodes);
  const freshness = new Freshness(redis === undefined || database.isEmbedded);
  const stored = new StoredEvents(collections, transactions, nodes.id);
  const relay = redis && new NodeRelay(bus, redis, nodes, stored, freshness, databaseName, logger);
  if (relay) lifecycle.register('other nodes', relay);
  const questions = new NodeQuestions(redis, nodes.id, databaseName, logger);
  lifecycle.register('questions of other nodes', questions);
  const peerRequests =
    redis && new NodeRequests('peers', { redis, nodeId: nodes.id, installation: databaseName, logger });
  if (peerRequests) lifecycle.register('peers of other nodes', peerRequests);
  const telemetry = new Telemetry();
  redis?.observe(telemetry);
  relay?.observe(telemetry);
  let commandsStarted = 0;
  telemetry.counter(METRICS.commands).observe({}, () => commandsStarted);
  const commandDurations = telemetry.histogram(METRICS.commandDurations);
  const stop = database.onCommand({
    started: () => commandsStarted++,
    ended: (milliseconds) => commandDurations.record({}, milliseconds / 1000),
  });
  lifecycle.register('metrics of commands', { stop });
  const outside = <Result>(work: () => Result) => transactions.outside(work);
  const jobs = new Jobs({ lifecycle, telemetry, tracing, clock, outside, logger });
  if (!database.isEmbedded) {
    jobs.add({
      name: 'node_lease',
      intervalMs: RENEWAL_MS,
      atStart: false,
      scope: 'node',
      run: () => nodes.renew(),
    });
    jobs.add({
      name: 'migrations',
      intervalMs: MIGRATIONS_INTERVAL_MS,
      // It has just been done.
      atStart: false,
      // The nodes share it out by a lock of its own.
      scope: 'node',
      run: () => database.finishMigrations(),
    });
  }
  const queue = new KeyedQueue(transactions);
  telemetry.gauge(METRICS.queueWaiting).observe({ queue: 'changes' }, () => queue.size);
  return {
    logger,
    lifecycle,
    /** The name of the database, which identifies this installation among those that share a Redis server. */
    databaseName,
    collections,
    transactions,
    bus,
    telemetry,
    /** Undefined unless traces are sent. */
    tracing,
    /** The time by which background jobs run, and by which the work that they share with requests is due. */
    clock,
    jobs,
    /** The id of this node, and which nodes are alive. */
    nodes,
    /** Sends events to the other nodes; undefined if this is the only node. */
    relay,
    /** Asks all nodes for what they have in memory. */
    questions,
    /** Whether what this node remembers of rights is current. */
    freshness,
    /** Sends frames of peers to other nodes; undefined if this is the only node. */
    peerRequests,
    /** Serialises the changes of each channel and each group. */
    queue,
    /** Milliseconds after which cached values are read again from the database; undefined if this is the only node. */
    recheckMs: redis && RECHECK_MS,
    /** The connections to Redis, which nodes share; undefined if this is the only node. */
    redis,
  };
}
