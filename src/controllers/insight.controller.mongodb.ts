import type { ConnectionsQuery } from '../models/operations/diagnostics.model';
import type { StatisticsQuery } from '../models/admin/statistics.model';
import type { ExportService } from '../services/admin/export.service';
import type { StatisticsService } from '../services/admin/statistics.service';
import type { DiagnosticsService } from '../services/operations/diagnostics.service';
import type { CallerRequest, Reply } from './controller.types';

export interface InsightServices {
  statistics: StatisticsService;
  diagnostics: DiagnosticsService;
  exports: ExportService;
}

export function createInsightController({ statistics, diagnostics, exports }: InsightServices) {
  const stream = (body: AsyncIterable<unknown>): Reply => ({ status: 200, body });
  return {
    statistics: async ({ caller, query }: CallerRequest<undefined, StatisticsQuery>): Promise<Reply> => ({
      status: 200,
      body: { statistics: await statistics.get(caller, query) },
    }),
    connections: async ({ caller, query }: CallerRequest<undefined, ConnectionsQuery>): Promise<Reply> => {
      const { items, ...rest } = await diagnostics.connections(caller, query);
      return { status: 200, body: { users: items, ...rest } };
    },
    slowest: ({ caller, query }: CallerRequest<undefined, { limit: number }>): Promise<Reply> =>
      Promise.resolve({ status: 200, body: { endpoints: diagnostics.slowest(caller, query.limit) } }),
    errors: ({ caller }: CallerRequest): Promise<Reply> =>
      Promise.resolve({ status: 200, body: { errors: diagnostics.recentErrors(caller) } }),
    exportUsers: async ({ caller }: CallerRequest): Promise<Reply> => stream(await exports.users(caller)),
    exportGroups: async ({ caller }: CallerRequest): Promise<Reply> => stream(await exports.groups(caller)),
    exportChannels: async ({ caller }: CallerRequest): Promise<Reply> =>
      stream(await exports.channels(caller)),
    exportMessages: async ({
      caller,
      query,
    }: CallerRequest<undefined, { channelId?: string | undefined }>): Promise<Reply> =>
      stream(await exports.messages(caller, query)),
  };
}
