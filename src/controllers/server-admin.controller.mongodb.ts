import type { CreateAnnouncementInput } from '../models/operations/announcement.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { MaintenanceInput } from '../models/operations/maintenance.model';
import type { ExplainQuery } from '../models/access/permission.model';
import type { PermissionService } from '../services/admin/permission.service';
import type { AnnouncementService } from '../services/operations/announcement.service';
import type { MaintenanceService } from '../services/operations/maintenance.service';
import type { CallerRequest, Reply } from './controller.types';

type AnnouncementParams = { announcementId: string };

export interface ServerAdminServices {
  maintenance: MaintenanceService;
  announcements: AnnouncementService;
  permissions: PermissionService;
}

export function createServerAdminController({
  maintenance,
  announcements,
  permissions,
}: ServerAdminServices) {
  return {
    explainPermission: async ({ caller, query }: CallerRequest<undefined, ExplainQuery>): Promise<Reply> => ({
      status: 200,
      body: await permissions.explain(caller, query),
    }),
    getMaintenance: ({ caller }: CallerRequest): Promise<Reply> =>
      Promise.resolve({ status: 200, body: { maintenance: maintenance.get(caller) } }),
    setMaintenance: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, MaintenanceInput>): Promise<Reply> => ({
      status: 200,
      body: { maintenance: await maintenance.set(caller, body) },
    }),
    announce: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, CreateAnnouncementInput>): Promise<Reply> => ({
      status: 201,
      body: { announcement: await announcements.create(caller, body) },
    }),
    listAnnouncements: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await announcements.list(caller, query);
      return { status: 200, body: { announcements: items, nextCursor } };
    },
    endAnnouncement: async ({ caller, params }: CallerRequest<AnnouncementParams>): Promise<Reply> => {
      await announcements.end(caller, params.announcementId);
      return { status: 204 };
    },
  };
}
