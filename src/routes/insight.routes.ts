import type { z } from 'zod';
import { createInsightController, type InsightServices } from '../controllers/insight.controller.mongodb';
import { accountSchema } from '../models/admin/admin-user.model';
import { channelSchema } from '../models/channel.model';
import {
  connectionsQuery,
  connectionsReply,
  errorsReply,
  exportMessagesQuery,
  jobsReply,
  slowestQuery,
  slowestReply,
} from '../models/operations/diagnostics.model';
import { sharedGroupSchema } from '../models/group.model';
import { messageSchema } from '../models/message.model';
import { statisticsQuery, statisticsReply } from '../models/admin/statistics.model';
import { callerRoute, type ApiRoute } from './api-route';

/** For super admins: what the server holds, and how it is doing. */
export function insightRoutes(services: InsightServices): ApiRoute[] {
  const insight = createInsightController(services);
  const tag = 'Administration';
  const ndjson = <Value extends z.ZodType>(schema: Value) => ({
    200: { description: 'One JSON line each.', records: schema },
  });
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/stats',
      operationId: 'getStatistics',
      tag,
      summary: 'How much there is, who is online, and what came into being by the hour or the day.',
      query: statisticsQuery,
      replies: { 200: { description: 'The numbers.', schema: statisticsReply } },
      handle: insight.statistics,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/connections',
      operationId: 'listConnections',
      tag,
      summary: 'Who is connected to the node that answers, on which devices and since when.',
      query: connectionsQuery,
      replies: { 200: { description: 'A page of users.', schema: connectionsReply } },
      handle: insight.connections,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/endpoints/slowest',
      operationId: 'listSlowestEndpoints',
      tag,
      summary: 'The routes and socket events of the node that answers whose slowest twentieth is slowest.',
      query: slowestQuery,
      replies: { 200: { description: 'Since the start of the process.', schema: slowestReply } },
      handle: insight.slowest,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/errors',
      operationId: 'listErrors',
      tag,
      summary: 'The errors of the node that answers, grouped, the one seen last first.',
      replies: { 200: { description: 'Since the start of the process.', schema: errorsReply } },
      handle: insight.errors,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/jobs',
      operationId: 'listJobs',
      tag,
      summary: 'The background jobs of the node that answers: last success, last failure, next run.',
      replies: { 200: { description: 'By name.', schema: jobsReply } },
      handle: insight.jobs,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/users',
      operationId: 'exportUsers',
      tag,
      summary: 'All accounts.',
      replies: ndjson(accountSchema),
      handle: insight.exportUsers,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/groups',
      operationId: 'exportGroups',
      tag,
      summary: 'All groups.',
      replies: ndjson(sharedGroupSchema),
      handle: insight.exportGroups,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/channels',
      operationId: 'exportChannels',
      tag,
      summary: 'All channels, direct conversations among them.',
      replies: ndjson(channelSchema),
      handle: insight.exportChannels,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/messages',
      operationId: 'exportMessages',
      tag,
      summary: 'The messages of a channel, or all.',
      query: exportMessagesQuery,
      replies: ndjson(messageSchema),
      handle: insight.exportMessages,
    }),
  ];
}
