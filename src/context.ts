import type { Config } from './config/env.config';
import { openDatabase, type Database } from './db/mongodb';
import { ErrorTracking } from './monitoring/error-tracking';
import { OpenTelemetry } from './monitoring/tracing';
import { createAccess } from './services/access/module';
import { createAccounts } from './services/accounts/module';
import { createAdmin } from './services/admin/module';
import { createAudit } from './services/audit/module';
import { createBackup } from './services/backup/module';
import { createCalls } from './services/calls/module';
import { createCatchUp } from './services/catch-up/module';
import { createChannels } from './services/channels/module';
import { createFiles } from './services/files/module';
import { createGroups } from './services/groups/module';
import { createIdempotency } from './services/idempotency/module';
import { createIdentity } from './services/identity/module';
import { Lifecycle } from './services/kernel/lifecycle';
import { createKernel, type Kernel } from './services/kernel/module';
import { createMessages } from './services/messages/module';
import { createModeration } from './services/moderation/module';
import { createNotifications } from './services/notifications/module';
import { createOperations } from './services/operations/module';
import { createPresence } from './services/presence/module';
import { createReading } from './services/reading/module';
import { createSearch } from './services/search/module';
import { createUsers } from './services/users/module';
import { createWriting } from './services/writing/module';
import type { LinkPolicy } from './services/writing/link-fetcher';
import { createLogger, type Logger } from './utils/logger';

/** Everything that Parley is made of. */
export type Context = Awaited<ReturnType<typeof createContext>>;

/** What a test or an embedding program may replace. */
export interface ContextOverrides {
  database?: Database;
  logger?: Logger;
  linkPolicy?: LinkPolicy;
  /** The source of the time for background jobs, the exchange of refresh tokens and calls. */
  clock?: Kernel['clock'];
}

/**
 * Opens the database and constructs all modules on it. Nothing runs in the background until `start`. `close` releases
 * everything; a database that was handed in stays open.
 */
export async function createContext(config: Config, overrides: ContextOverrides = {}) {
  const { sentryDsn } = config;
  const tracking =
    sentryDsn === undefined ? undefined : await ErrorTracking.load(sentryDsn, config.environment);
  const logger =
    overrides.logger ?? createLogger(config.logLevel, tracking && ((logged) => tracking.report(logged)));
  const lifecycle = new Lifecycle(logger);
  // It stops last, after everything that may fail.
  if (tracking) lifecycle.register('error tracking', tracking);
  const tracing = config.tracing ? await OpenTelemetry.load() : undefined;
  if (tracing) lifecycle.register('tracing', tracing);
  const { uri, name } = config.database;
  const database =
    overrides.database ??
    (await openDatabase({ uri, name, dataDir: config.dataDir, logger, monitorCommands: config.tracing }));
  if (!overrides.database) {
    // An exit while the embedded store is open would never end.
    lifecycle.register('database', { stop: () => database.close(), stopsAtLeisure: database.isEmbedded });
  }
  try {
    tracing?.traceCommands(database.db.client);
    const kernel = createKernel(database, lifecycle, logger, {
      databaseName: name,
      redisUrl: config.redisUrl,
      clock: overrides.clock,
      tracing,
    });
    return {
      config,
      logger,
      database,
      bus: kernel.bus,
      jobs: kernel.jobs,
      nodes: kernel.nodes,
      /** Undefined without REDIS_URL. */
      relay: kernel.relay,
      freshness: kernel.freshness,
      telemetry: kernel.telemetry,
      /** Sends frames of peers to other nodes; undefined if this is the only node. */
      peerRequests: kernel.peerRequests,
      /** Undefined unless traces are sent. */
      tracing,
      services: createServices(config, overrides, kernel, database),
      /** Whether the server reports that it is ready; false from the moment it is told to stop. */
      accepting: true,
      /** Whether new requests and connections are refused, because the server is closing. */
      refusing: false,
      /** Starts the background work: the server calls it, a script does not. When a part fails, all are closed. @throws StartError */
      start: () => lifecycle.start(),
      /**
       * Releases everything, whether it was started or not.
       * @param timeoutMs see `Lifecycle.stop`
       * @throws AggregateError of what could not be closed
       */
      close: async (timeoutMs?: number) => {
        const start = performance.now();
        // Otherwise each part in turn would wait for a database that is gone.
        if (!overrides.database)
          await database.closeIfLost(timeoutMs === undefined ? undefined : timeoutMs / 3);
        await lifecycle.stop(timeoutMs === undefined ? undefined : timeoutMs - (performance.now() - start));
      },
    };
  } catch (error) {
    await lifecycle.stop().catch(() => undefined);
    throw error;
  }
}

/**
 * Constructs the modules in the order in which they depend on each other, which is also the order in which they start.
 * @returns the services of all modules by name.
 */
function createServices(config: Config, overrides: ContextOverrides, kernel: Kernel, database: Database) {
  const { auth, encryptionKey, uploads: uploadLimits } = config;
  const publicUrl = config.http.publicUrl ?? `http://localhost:${config.http.port}`;
  const audit = createAudit(kernel);
  const access = createAccess(kernel, audit, { database, groupCreation: config.groups.creation });
  const users = createUsers(kernel);
  const operations = createOperations(kernel, audit, access, users, {
    throttle: config.throttle,
    mail: { ...config.mail, toLog: config.environment !== 'production' },
    connectionsPerUser: config.sockets.perUser,
    minimumClientVersions: config.minimumClientVersions,
  });
  const identity = createIdentity(kernel, audit, operations, { ...auth, encryptionKey, publicUrl });
  const storage = { folder: config.uploadDir, uploads: uploadLimits };
  const files = createFiles(kernel, audit, access, identity, storage);
  const notifications = createNotifications(kernel, { access, users, operations });
  const reading = createReading(kernel, access, users, operations);
  const presence = createPresence(kernel, access, config.presence);
  const base = { audit, access, users, operations, identity, files, notifications, reading, presence };
  const channels = createChannels(kernel, base);
  const groups = createGroups(kernel, { ...base, channels });
  const search = createSearch(kernel, access);
  const messages = createMessages(kernel, { ...base, channels });
  const calls = createCalls(kernel, { ...base, channels, messages }, { ...auth, ice: config.ice });
  const previews = { linkPreviews: config.linkPreviews.enabled, linkPolicy: overrides.linkPolicy };
  const writing = createWriting(kernel, { ...base, messages }, previews);
  const catchUp = createCatchUp(kernel, { ...base, channels, groups, calls }, { uploads: uploadLimits });
  const accounts = createAccounts(kernel, { ...base, channels, groups });
  const admin = createAdmin(kernel, { ...base, channels, groups, accounts });
  const moderation = createModeration(kernel, { ...base, channels, groups, messages, admin });
  const idempotency = createIdempotency(kernel, { encryptionKey });
  const backup = createBackup(kernel, audit, files, database, { ...config.backups, encryptionKey });
  return {
    ...{ ...audit, ...access, ...users, ...operations, ...identity, ...files, ...notifications },
    ...{ ...reading, ...presence, ...channels, ...groups, ...search, ...messages, ...calls, ...writing },
    ...{ ...catchUp, ...accounts, ...admin, ...moderation, ...idempotency, ...backup },
  };
}
