import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { Kernel } from '../kernel/module';
import type { UsersModule } from '../users/module';
import { AnnouncementService } from './announcement.service';
import { ClientVersions } from './client-versions';
import { DiagnosticsService } from './diagnostics.service';
import { LiveConnections } from './live-connections';
import { MailService, type MailOptions } from './mail.service';
import { MaintenanceService } from './maintenance.service';
import { RecentErrors } from './recent-errors';
import { ThrottleService } from './throttle.service';
import { Timings } from './timings';

export type OperationsModule = ReturnType<typeof createOperations>;

export function createOperations(
  kernel: Kernel,
  { audit }: AuditModule,
  { access }: AccessModule,
  { users }: UsersModule,
  settings: {
    throttle: { enabled: boolean };
    mail: MailOptions;
    connectionsPerUser: number;
    minimumClientVersions: ReadonlyMap<string, string>;
  },
) {
  const { collections, transactions, bus, lifecycle, telemetry, logger, redis, databaseName } = kernel;
  const throttle = new ThrottleService(settings.throttle.enabled, redis?.commands, databaseName);
  const mail = new MailService(settings.mail, transactions, logger);
  const maintenance = new MaintenanceService(collections, transactions, access, audit, bus);
  const connections = new LiveConnections(settings.connectionsPerUser, 'socket.io', telemetry);
  const timings = new Timings(telemetry);
  const errors = new RecentErrors(telemetry);
  lifecycle.register('mail', mail);
  // After the other nodes: what they set before it reads is in the database, what they set later arrives as an event.
  lifecycle.register('maintenance', maintenance);
  return {
    throttle,
    mail,
    maintenance,
    clientVersions: new ClientVersions(settings.minimumClientVersions),
    announcements: new AnnouncementService(collections, transactions, access, audit, bus),
    connections,
    /** The connections of PeerJS clients, which are counted by themselves. */
    peers: new LiveConnections(settings.connectionsPerUser, 'peerjs', telemetry),
    timings,
    errors,
    diagnostics: new DiagnosticsService({ ...kernel, access, users, live: connections, timings, errors }),
  };
}
