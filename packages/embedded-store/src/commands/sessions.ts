import { Binary, Int32 } from 'bson';
import { randomBytes } from 'node:crypto';
import { fromPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { SESSION_TIMEOUT_MINUTES } from '../session/sessions';
import type { Command, CommandContext } from './command';

/** The ids of sessions in a list of `{ id: UUID }`. */
function idsOf(list: Value[]): string[] {
  return list.flatMap((lsid) => {
    const id = lsid instanceof Map ? lsid.get('id') : undefined;
    return id instanceof Binary ? [Buffer.from(id.value()).toString('hex')] : [];
  });
}

function ending(field: string): Command {
  return {
    run({ engine, args }: CommandContext) {
      for (const id of idsOf(args.array(field) ?? [])) engine.sessions.end(id);
      return new Map();
    },
  };
}

/** https://www.mongodb.com/docs/manual/reference/command/endSessions/ */
export const endSessionsCommand = ending('endSessions');

/** https://www.mongodb.com/docs/manual/reference/command/killSessions/ */
export const killSessionsCommand = ending('killSessions');

/** https://www.mongodb.com/docs/manual/reference/command/killAllSessions/ */
export const killAllSessionsCommand: Command = {
  run({ engine }) {
    engine.sessions.endAll();
    return new Map();
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/refreshSessions/ */
export const refreshSessionsCommand: Command = {
  run({ engine, args }) {
    for (const id of idsOf(args.array('refreshSessions') ?? [])) engine.sessions.get(id);
    return new Map();
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/startSession/ */
export const startSessionCommand: Command = {
  run: () =>
    fromPlain({
      id: { id: new Binary(randomBytes(16), Binary.SUBTYPE_UUID) },
      timeoutMinutes: new Int32(SESSION_TIMEOUT_MINUTES),
    }) as Document,
};
