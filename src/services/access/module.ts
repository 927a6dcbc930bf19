import type { AuditModule } from '../audit/module';
import type { Kernel } from '../kernel/module';
import { Access } from './access';
import { AccessFacts } from './access-facts';
import { AudienceIndex } from './audience-index';
import { GuardedWrites } from './guarded-writes';
import { RightsVersion } from './rights-version';

type GroupCreation = ConstructorParameters<typeof Access>[3];

export type AccessModule = ReturnType<typeof createAccess>;

export function createAccess(
  { collections, transactions, queue, bus }: Kernel,
  { audit }: AuditModule,
  settings: { accessVersion: () => number | undefined; groupCreation: GroupCreation },
) {
  const facts = new AccessFacts(collections, transactions, settings.accessVersion);
  const access = new Access(collections, facts, audit, settings.groupCreation);
  return {
    access,
    audiences: new AudienceIndex(bus),
    writes: new GuardedWrites(transactions, access, queue, collections, facts),
    rights: new RightsVersion(bus),
  };
}
