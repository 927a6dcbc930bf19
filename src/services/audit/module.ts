import type { Kernel } from '../kernel/module';
import { AuditService } from './audit.service';

export type AuditModule = ReturnType<typeof createAudit>;

export function createAudit({ collections, transactions }: Kernel) {
  return { audit: new AuditService(collections, transactions) };
}
