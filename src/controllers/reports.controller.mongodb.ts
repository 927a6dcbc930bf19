import type { MessageParams } from '../models/message.model';
import type {
  ReportInput,
  ReportParams,
  ReportsQuery,
  ResolveReportInput,
} from '../models/moderation/report.model';
import type { ReportResolutionService } from '../services/moderation/report-resolution.service';
import type { ReportService } from '../services/moderation/report.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export interface ReportsServices {
  reports: ReportService;
  reportResolutions: ReportResolutionService;
}

export function createReportsController({ reports, reportResolutions }: ReportsServices) {
  return {
    report: async ({ caller, params, body }: CallerRequest<{ params: MessageParams; body: ReportInput }>) => {
      const { report, created } = await reports.report(caller, params.messageId, body);
      return reply(created ? 201 : 200, { report });
    },
    list: async ({ caller, query }: CallerRequest<{ query: ReportsQuery }>) => {
      const { items, nextCursor } = await reports.list(caller, query);
      return reply(200, { reports: items, nextCursor });
    },
    get: async ({ caller, params }: CallerRequest<{ params: ReportParams }>) =>
      reply(200, { report: await reports.get(caller, params.reportId) }),
    claim: async ({ caller, params }: CallerRequest<{ params: ReportParams }>) =>
      reply(200, { report: await reports.claim(caller, params.reportId) }),
    release: async ({ caller, params }: CallerRequest<{ params: ReportParams }>) =>
      reply(200, { report: await reports.release(caller, params.reportId) }),
    resolve: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<{ params: ReportParams; body: ResolveReportInput }>) =>
      reply(200, { report: await reportResolutions.resolve(caller, params.reportId, body, origin) }),
  };
}
