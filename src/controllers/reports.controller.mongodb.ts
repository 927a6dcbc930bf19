import type { ReportInput, ReportsQuery, ResolveReportInput } from '../models/moderation/report.model';
import type { ReportResolutionService } from '../services/moderation/report-resolution.service';
import type { ReportService } from '../services/moderation/report.service';
import type { CallerRequest, Reply } from './controller.types';

type ReportParams = { reportId: string };

export interface ReportsServices {
  reports: ReportService;
  reportResolutions: ReportResolutionService;
}

export function createReportsController({ reports, reportResolutions }: ReportsServices) {
  return {
    report: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ messageId: string }, undefined, ReportInput>): Promise<Reply> => {
      const { report, created } = await reports.report(caller, params.messageId, body);
      return { status: created ? 201 : 200, body: { report } };
    },
    list: async ({ caller, query }: CallerRequest<undefined, ReportsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await reports.list(caller, query);
      return { status: 200, body: { reports: items, nextCursor } };
    },
    get: async ({ caller, params }: CallerRequest<ReportParams>): Promise<Reply> => ({
      status: 200,
      body: { report: await reports.get(caller, params.reportId) },
    }),
    claim: async ({ caller, params }: CallerRequest<ReportParams>): Promise<Reply> => ({
      status: 200,
      body: { report: await reports.claim(caller, params.reportId) },
    }),
    release: async ({ caller, params }: CallerRequest<ReportParams>): Promise<Reply> => ({
      status: 200,
      body: { report: await reports.release(caller, params.reportId) },
    }),
    resolve: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<ReportParams, undefined, ResolveReportInput>): Promise<Reply> => ({
      status: 200,
      body: { report: await reportResolutions.resolve(caller, params.reportId, body, origin) },
    }),
  };
}
