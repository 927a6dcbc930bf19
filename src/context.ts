import type { Config } from './config/env.config';
import { openDatabase, type Database } from './db/mongodb';
import { Access } from './services/access';
import { AuthService } from './services/auth.service';
import { ChannelPurger } from './services/channel-purger';
import { ChannelQueue } from './services/channel-queue';
import { ChannelService } from './services/channel.service';
import { EventBus } from './services/event-bus';
import { GroupService } from './services/group.service';
import { MessageWriter, type MessageDraft, type SentMessage } from './services/message-writer';
import { MessageService } from './services/message.service';
import { TokenService } from './services/token.service';
import { UserService } from './services/user.service';
import { createLogger, type Logger } from './utils/logger';

/** Everything that Parley is made of, wired once. */
export type Context = Awaited<ReturnType<typeof createContext>>;

/** What a test or an embedding program may put in the place of the real part. */
export interface ContextOverrides {
  database?: Database;
  logger?: Logger;
}

/**
 * Opens the database and wires the services. `close` gives everything back; a database that was handed in is
 * left open.
 */
export async function createContext(config: Config, overrides: ContextOverrides = {}) {
  const logger = overrides.logger ?? createLogger(config.logLevel);
  const database =
    overrides.database ??
    (await openDatabase({
      uri: config.database.uri,
      name: config.database.name,
      dataDir: config.dataDir,
    }));
  const { collections, runTransaction } = database;

  const bus = new EventBus();
  const access = new Access(collections);
  const tokens = new TokenService(config.auth.jwtSecret, config.auth.accessTokenSeconds);
  const writer = new MessageWriter(collections, runTransaction, access, bus);
  const queue = new ChannelQueue<MessageDraft, SentMessage>((channelId, drafts) =>
    writer.commit(channelId, drafts),
  );
  const purger = new ChannelPurger(collections, logger);
  const users = new UserService(collections);
  const services = {
    access,
    auth: new AuthService(collections, runTransaction, bus, tokens, config.auth),
    users,
    groups: new GroupService(collections, runTransaction, access, users, bus),
    channels: new ChannelService(collections, runTransaction, access, queue, purger, bus),
    messages: new MessageService(collections, access, queue, bus),
  };
  purger.start();

  return {
    config,
    logger,
    database,
    bus,
    services,
    /** Whether new work is taken; false from the moment the server is told to stop. */
    accepting: true,
    async close(): Promise<void> {
      await purger.stop();
      if (!overrides.database) await database.close();
    },
  };
}

export type Services = Context['services'];
