import type { ObjectId } from 'mongodb';
import type { AuditModule } from '../audit/module';
import type { Kernel } from '../kernel/module';
import { observeCaches } from '../kernel/observations';
import { Access } from './access';
import { AccessFacts } from './access-facts';
import { AccessVersion, type WatchedDatabase } from './access-version';
import { AudienceIndex } from './audience-index';
import { AudienceRefresh } from './audience-refresh';
import { GuardedWrites } from './guarded-writes';
import { RightsVersion } from './rights-version';

type GroupCreation = ConstructorParameters<typeof Access>[3];

export type AccessModule = ReturnType<typeof createAccess>;

export function createAccess(
  kernel: Kernel,
  { audit }: AuditModule,
  settings: { database: WatchedDatabase; groupCreation: GroupCreation },
) {
  const { collections, transactions, queue, bus, lifecycle, relay } = kernel;
  const version = new AccessVersion({ ...kernel, database: settings.database });
  lifecycle.register('version of rights', version);
  const facts = new AccessFacts(collections, transactions, () => version.current());
  observeCaches(kernel.telemetry, {
    member_rights: facts.channels.members,
    groups: facts.channels.groups,
    pairs: facts.channels.pairs,
  });
  const access = new Access(collections, facts, audit, settings.groupCreation);
  const audiences = new AudienceIndex(bus, relay !== undefined);
  if (relay) {
    const read = async (userId: ObjectId) => (await access.readable(userId)).audiences;
    new AudienceRefresh({ ...kernel, audiences, read });
  }
  return {
    access,
    audiences,
    writes: new GuardedWrites(transactions, access, queue, collections, facts),
    rights: new RightsVersion(bus),
  };
}
