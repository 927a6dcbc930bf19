import type {
  ConnectionsQuery,
  ExportMessagesQuery,
  SlowestQuery,
} from '../models/operations/diagnostics.model';
import type { StatisticsQuery } from '../models/admin/statistics.model';
import type { ExportService } from '../services/admin/export.service';
import type { StatisticsService } from '../services/admin/statistics.service';
import type { DiagnosticsService } from '../services/operations/diagnostics.service';
import type { CallerRequest } from './controller.types';
import { reply, replyRecords } from './reply';

export interface InsightServices {
  statistics: StatisticsService;
  diagnostics: DiagnosticsService;
  exports: ExportService;
}

export function createInsightController({ statistics, diagnostics, exports }: InsightServices) {
  return {
    statistics: async ({ caller, query }: CallerRequest<{ query: StatisticsQuery }>) =>
      reply(200, { statistics: await statistics.get(caller, query) }),
    connections: async ({ caller, query }: CallerRequest<{ query: ConnectionsQuery }>) => {
      const { items, ...rest } = await diagnostics.connections(caller, query);
      return reply(200, { users: items, ...rest });
    },
    slowest: async ({ caller, query }: CallerRequest<{ query: SlowestQuery }>) =>
      reply(200, { endpoints: await diagnostics.slowest(caller, query.limit) }),
    nodes: async ({ caller }: CallerRequest) => reply(200, { nodes: await diagnostics.nodes(caller) }),
    errors: async ({ caller }: CallerRequest) =>
      reply(200, { errors: await diagnostics.recentErrors(caller) }),
    jobs: async ({ caller }: CallerRequest) => reply(200, { jobs: await diagnostics.jobs(caller) }),
    exportUsers: async ({ caller }: CallerRequest) => replyRecords(await exports.users(caller)),
    exportGroups: async ({ caller }: CallerRequest) => replyRecords(await exports.groups(caller)),
    exportChannels: async ({ caller }: CallerRequest) => replyRecords(await exports.channels(caller)),
    exportMessages: async ({ caller, query }: CallerRequest<{ query: ExportMessagesQuery }>) =>
      replyRecords(await exports.messages(caller, query)),
  };
}
