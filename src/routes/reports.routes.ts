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

/** Reports of messages: for everybody who reads a message, and for those who moderate. */
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
      summary: 'Report a message to those who moderate it.',
      params: messageParams,
      body: reportInput,
      replies: {
        201: { description: 'The report.', schema: reportReceiptReply },
        200: {
          description: 'The first report of it by the caller, which still waits.',
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
      summary: 'The reports of a group, for its moderators; those of the whole server, for super admins.',
      query: reportsQuery,
      replies: { 200: { description: 'A page of reports.', schema: reportsReply } },
      handle: reports.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/reports/:reportId',
      operationId: 'getReport',
      tag,
      summary: 'A report, with the message as it was when it was reported.',
      params: reportParams,
      replies: reportOk('The report.'),
      handle: reports.get,
    }),
    callerRoute({
      method: 'post',
      path: '/api/reports/:reportId/claim',
      operationId: 'claimReport',
      tag,
      summary: 'Take a report up. Of several who do so at once, one gets it.',
      params: reportParams,
      replies: reportOk("The report, which is the caller's."),
      handle: reports.claim,
    }),
    callerRoute({
      method: 'post',
      path: '/api/reports/:reportId/release',
      operationId: 'releaseReport',
      tag,
      summary: 'Put a report back into the queue.',
      params: reportParams,
      replies: reportOk('The report, which is open.'),
      handle: reports.release,
    }),
    callerRoute({
      method: 'post',
      path: '/api/reports/:reportId/resolve',
      operationId: 'resolveReport',
      tag,
      summary: 'Do what is to be done about a message, and close the report. The reporter is told.',
      params: reportParams,
      body: resolveReportInput,
      replies: reportOk('The report, which is resolved.'),
      handle: reports.resolve,
    }),
  ];
}
