import type { AccessModule } from '../access/module';
import type { Kernel } from '../kernel/module';
import { observeCaches } from '../kernel/observations';
import { LastSeen } from './last-seen';
import { PresenceService } from './presence.service';
import { TypingService } from './typing.service';

export type PresenceModule = ReturnType<typeof createPresence>;

export function createPresence(
  kernel: Kernel,
  { access, audiences, rights }: AccessModule,
  settings: { awaySeconds: number; graceSeconds: number },
) {
  const { collections, transactions, bus, lifecycle, logger } = kernel;
  const lastSeen = new LastSeen(collections, transactions, logger);
  const presence = new PresenceService({ ...kernel, access, audiences, lastSeen, timing: settings });
  const typing = new TypingService(collections, access, presence, bus, rights);
  observeCaches(kernel.telemetry, { typing_audiences: typing.audienceCache });
  lifecycle.register('presence', presence);
  lifecycle.register('typing', { stop: () => typing.close() });
  return { presence, typing };
}
