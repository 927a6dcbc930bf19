import { createReportsController, type ReportsServices } from '../controllers/reports.controller.mongodb';
import { messageParams } from '../models/message.model';
import {
  reportInput,
  reportParams,
  reportReceiptReply,
  reportReply,
  reportsQuery,
  reportsReply,
  resolveReportInput,
} from '../models/moderation/report.model';
import { callerRoute, type ApiRoute } from './api-route';

/** Who may handle a report. */
const REQUIREMENT =
  'Requires the role moderator in the group, or super admin for reports in direct conversations.';

/** Reports of messages: making them, and moderating them. */
export function reportRoutes(services: ReportsServices): ApiRoute[] {
  const reports = createReportsController(services);
  const tag = 'Moderation';
  const reportOk = (description: string) => ({ 200: { description, schema: reportReply } });
  return [
    callerRoute({
      method: 'post',
      path: '/api/messages/:messageId/report',
      operationId: 'reportMessage',
      tag,
      summary: 'Report a message to the moderators.',
      params: messageParams,
      body: reportInput,
      replies: {
        201: { description: 'The report.', schema: reportReceiptReply },
        200: {
          description: 'The earlier report of the message by the caller, which is not resolved yet.',
          schema: reportReceiptReply,
        },
      },
      handle: reports.report,
    }),
    callerRoute({
      method: 'get',
      path: '/api/reports',
      operationId: 'listReports',
      tag,
      summary:
        'List the reports of a group, or of the whole server. Requires the role moderator in the group, or super admin for the whole server.',
      query: reportsQuery,
      replies: { 200: { description: 'A page of reports.', schema: reportsReply } },
      handle: reports.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/reports/:reportId',
      operationId: 'getReport',
      tag,
      summary: `Get a report, with the message as it was when it was reported. ${REQUIREMENT}`,
      params: reportParams,
      replies: reportOk('The report.'),
      handle: reports.get,
    }),
    callerRoute({
      method: 'post',
      path: '/api/reports/:reportId/claim',
      operationId: 'claimReport',
      tag,
      summary: `Claim a report. If several moderators claim it at the same time, one of them gets it. ${REQUIREMENT}`,
      params: reportParams,
      replies: reportOk('The report, claimed by the caller.'),
      handle: reports.claim,
    }),
    callerRoute({
      method: 'post',
      path: '/api/reports/:reportId/release',
      operationId: 'releaseReport',
      tag,
      summary: `Release a claimed report, so that another moderator can claim it. ${REQUIREMENT}`,
      params: reportParams,
      replies: reportOk('The report, which is open again.'),
      handle: reports.release,
    }),
    callerRoute({
      method: 'post',
      path: '/api/reports/:reportId/resolve',
      operationId: 'resolveReport',
      tag,
      summary: `Resolve a report by taking an action. The reporter is notified. ${REQUIREMENT}`,
      params: reportParams,
      body: resolveReportInput,
      replies: reportOk('The resolved report.'),
      handle: reports.resolve,
    }),
  ];
}
