import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { ChannelsModule } from '../channels/module';
import type { IdentityModule } from '../identity/module';
import type { Kernel } from '../kernel/module';
import type { MessagesModule } from '../messages/module';
import type { NotificationsModule } from '../notifications/module';
import type { OperationsModule } from '../operations/module';
import type { UsersModule } from '../users/module';
import { VideoCallService } from '../video-call.service';
import { CallAdministration } from './call-administration';
import { CallConnections } from './call-connections';
import { CallHistory } from './call-history';
import { CallMetrics } from './call-metrics';
import { CallQualityService } from './call-quality.service';
import { CallRecorder } from './call-recorder';
import { CallRights } from './call-rights';
import { CallStore } from './call-store';
import { CallTickets } from './call-tickets';
import { CallTimeouts } from './call-timeouts';
import { IceServers, type IceSettings } from './ice-servers';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  operations: OperationsModule;
  identity: IdentityModule;
  channels: ChannelsModule;
  notifications: NotificationsModule;
  messages: MessagesModule;
}

interface Settings {
  jwtSecret: string;
  previousJwtSecret: string | undefined;
  ice: IceSettings;
}

export type CallsModule = ReturnType<typeof createCalls>;

export function createCalls(kernel: Kernel, needs: Needs, settings: Settings) {
  const { access, writes, rights: version } = needs.access;
  const { blocks } = needs.users;
  const { directMessages } = needs.channels;
  const { sessions } = needs.identity;
  const { notifications } = needs.notifications;
  const callMetrics = new CallMetrics(kernel.telemetry, kernel.collections);
  const store = new CallStore({ ...kernel, rights: version, notifications, callMetrics });
  const callTickets = new CallTickets(
    settings.jwtSecret,
    settings.previousJwtSecret,
    kernel.clock,
    (outcome) => callMetrics.recordTicket(outcome),
  );
  const callConnections = new CallConnections({
    ...kernel,
    store,
    sockets: needs.operations.connections,
    nodeId: kernel.nodes.id,
  });
  const rights = new CallRights({ ...kernel, access, rights: version, sessions, store });
  kernel.lifecycle.register('calls', callConnections);
  new CallTimeouts({ ...kernel, store, connections: callConnections, rights });
  const callHistory = new CallHistory(kernel.collections, access);
  const callAdministration = new CallAdministration({ ...kernel, access, audit: needs.audit.audit, store });
  const { throttle } = needs.operations;
  const { messages } = needs.messages;
  const recorder = new CallRecorder({ ...kernel, access, store, messages, notifications });
  kernel.lifecycle.register('call recorder', recorder);
  return {
    callTickets,
    callConnections,
    callHistory,
    callAdministration,
    callMetrics,
    callQuality: new CallQualityService({
      ...kernel,
      access,
      history: callHistory,
      store,
      throttle,
      callMetrics,
    }),
    videoCalls: new VideoCallService({
      ...kernel,
      access,
      writes,
      blocks,
      directMessages,
      store,
      connections: callConnections,
      rights,
      tickets: callTickets,
      ice: new IceServers(settings.ice),
      throttle,
      history: callHistory,
      administration: callAdministration,
    }),
  };
}
