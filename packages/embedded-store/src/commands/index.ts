import { aggregateCommand } from './aggregate';
import type { Command } from './command';
import {
  createCommand,
  dropCommand,
  dropDatabaseCommand,
  listCollectionsCommand,
  listDatabasesCommand,
  renameCollectionCommand,
} from './collections';
import { bulkWriteCommand } from './bulk-write';
import { countCommand } from './count';
import { getMoreCommand, killCursorsCommand } from './cursors';
import { deleteCommand } from './delete';
import {
  currentOpCommand,
  getCmdLineOptsCommand,
  getLogCommand,
  getParameterCommand,
  hostInfoCommand,
  killOpCommand,
  profileCommand,
  replSetGetStatusCommand,
  rolesInfoCommand,
  usersInfoCommand,
  whatsMyUriCommand,
} from './diagnostics';
import { distinctCommand } from './distinct';
import { explainCommand } from './explain';
import { findCommand } from './find';
import { findAndModifyCommand } from './find-and-modify';
import {
  buildInfoCommand,
  connectionStatusCommand,
  helloCommand,
  legacyHelloCommand,
  pingCommand,
} from './hello';
import { createIndexesCommand, dropIndexesCommand, listIndexesCommand } from './indexes';
import { insertCommand } from './insert';
import { collModCommand, validateCommand } from './maintenance';
import {
  endSessionsCommand,
  killAllSessionsCommand,
  killSessionsCommand,
  refreshSessionsCommand,
  startSessionCommand,
} from './sessions';
import { collStatsCommand, dbStatsCommand, serverStatusCommand } from './statistics';
import { abortTransactionCommand, commitTransactionCommand } from './transactions';
import { updateCommand } from './update';

/** Every command of the store by its name. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['hello', helloCommand],
  ['isMaster', legacyHelloCommand],
  ['ismaster', legacyHelloCommand],
  ['ping', pingCommand],
  ['buildInfo', buildInfoCommand],
  ['buildinfo', buildInfoCommand],
  ['connectionStatus', connectionStatusCommand],
  ['endSessions', endSessionsCommand],
  ['startSession', startSessionCommand],
  ['refreshSessions', refreshSessionsCommand],
  ['killSessions', killSessionsCommand],
  ['killAllSessions', killAllSessionsCommand],
  ['currentOp', currentOpCommand],
  ['killOp', killOpCommand],
  ['getParameter', getParameterCommand],
  ['getCmdLineOpts', getCmdLineOptsCommand],
  ['getLog', getLogCommand],
  ['hostInfo', hostInfoCommand],
  ['profile', profileCommand],
  ['usersInfo', usersInfoCommand],
  ['rolesInfo', rolesInfoCommand],
  ['replSetGetStatus', replSetGetStatusCommand],
  ['whatsmyuri', whatsMyUriCommand],
  ['serverStatus', serverStatusCommand],
  ['dbStats', dbStatsCommand],
  ['dbstats', dbStatsCommand],
  ['collStats', collStatsCommand],
  ['collstats', collStatsCommand],
  ['collMod', collModCommand],
  ['validate', validateCommand],
  ['explain', explainCommand],
  ['insert', insertCommand],
  ['find', findCommand],
  ['getMore', getMoreCommand],
  ['killCursors', killCursorsCommand],
  ['update', updateCommand],
  ['delete', deleteCommand],
  ['bulkWrite', bulkWriteCommand],
  ['findAndModify', findAndModifyCommand],
  ['findandmodify', findAndModifyCommand],
  ['aggregate', aggregateCommand],
  ['count', countCommand],
  ['distinct', distinctCommand],
  ['create', createCommand],
  ['drop', dropCommand],
  ['dropDatabase', dropDatabaseCommand],
  ['listCollections', listCollectionsCommand],
  ['listDatabases', listDatabasesCommand],
  ['renameCollection', renameCollectionCommand],
  ['createIndexes', createIndexesCommand],
  ['listIndexes', listIndexesCommand],
  ['dropIndexes', dropIndexesCommand],
  ['deleteIndexes', dropIndexesCommand],
  ['commitTransaction', commitTransactionCommand],
  ['abortTransaction', abortTransactionCommand],
]);
