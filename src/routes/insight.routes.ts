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
  nodesReply,
  slowestQuery,
  slowestReply,
} from '../models/operations/diagnostics.model';
import { sharedGroupSchema } from '../models/group.model';
import { messageSchema } from '../models/message.model';
import { statisticsQuery, statisticsReply } from '../models/admin/statistics.model';
import { callerRoute, type ApiRoute } from './api-route';

/** The routes by which super admins see statistics and diagnostics, and export data. */
export function insightRoutes(services: InsightServices): ApiRoute[] {
  const insight = createInsightController(services);
  const tag = 'Administration';
  const ndjson = <Value extends z.ZodType>(schema: Value) => ({
    200: { description: 'One JSON object per line.', records: schema },
  });
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/stats',
      operationId: 'getStatistics',
      tag,
      summary: 'Get the totals of the server, who is online, and what was created per hour or day.',
      query: statisticsQuery,
      replies: { 200: { description: 'The statistics.', schema: statisticsReply } },
      handle: insight.statistics,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/connections',
      operationId: 'listConnections',
      tag,
      summary: 'List the users who are connected to any node, with their connections.',
      query: connectionsQuery,
      replies: { 200: { description: 'A page of users.', schema: connectionsReply } },
      handle: insight.connections,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/nodes',
      operationId: 'listNodes',
      tag,
      summary: 'List the nodes: the processes of Parley that serve this site.',
      replies: {
        200: { description: 'The nodes that are alive, in the order of their ids.', schema: nodesReply },
      },
      handle: insight.nodes,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/endpoints/slowest',
      operationId: 'listSlowestEndpoints',
      tag,
      summary: 'List the slowest routes and socket events of all nodes, by 95th percentile.',
      query: slowestQuery,
      replies: { 200: { description: 'The timings since the start of the process.', schema: slowestReply } },
      handle: insight.slowest,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/errors',
      operationId: 'listErrors',
      tag,
      summary: 'List the recent errors of all nodes, in groups, latest first.',
      replies: { 200: { description: 'The errors since the start of the process.', schema: errorsReply } },
      handle: insight.errors,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/jobs',
      operationId: 'listJobs',
      tag,
      summary: 'List the background jobs of all nodes, with their last success, last failure and next run.',
      replies: { 200: { description: 'The jobs, sorted by name and node.', schema: jobsReply } },
      handle: insight.jobs,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/users',
      operationId: 'exportUsers',
      tag,
      summary: 'Export all accounts as NDJSON.',
      replies: ndjson(accountSchema),
      handle: insight.exportUsers,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/groups',
      operationId: 'exportGroups',
      tag,
      summary: 'Export all groups as NDJSON.',
      replies: ndjson(sharedGroupSchema),
      handle: insight.exportGroups,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/channels',
      operationId: 'exportChannels',
      tag,
      summary: 'Export all channels and direct conversations as NDJSON.',
      replies: ndjson(channelSchema),
      handle: insight.exportChannels,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/export/messages',
      operationId: 'exportMessages',
      tag,
      summary: 'Export the messages of a channel, or all messages, as NDJSON.',
      query: exportMessagesQuery,
      replies: ndjson(messageSchema),
      handle: insight.exportMessages,
    }),
  ];
}
