import type { AnnouncementParams, CreateAnnouncementInput } from '../models/operations/announcement.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { MaintenanceInput } from '../models/operations/maintenance.model';
import type { ExplainQuery } from '../models/access/permission.model';
import type { PermissionService } from '../services/admin/permission.service';
import type { AnnouncementService } from '../services/operations/announcement.service';
import type { MaintenanceService } from '../services/operations/maintenance.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

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
    explainPermission: async ({ caller, query }: CallerRequest<{ query: ExplainQuery }>) =>
      reply(200, await permissions.explain(caller, query)),
    getMaintenance: ({ caller }: CallerRequest) =>
      Promise.resolve(reply(200, { maintenance: maintenance.get(caller) })),
    setMaintenance: async ({ caller, body }: CallerRequest<{ body: MaintenanceInput }>) =>
      reply(200, { maintenance: await maintenance.set(caller, body) }),
    announce: async ({ caller, body }: CallerRequest<{ body: CreateAnnouncementInput }>) =>
      reply(201, { announcement: await announcements.create(caller, body) }),
    listAnnouncements: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await announcements.list(caller, query);
      return reply(200, { announcements: items, nextCursor });
    },
    endAnnouncement: async ({ caller, params }: CallerRequest<{ params: AnnouncementParams }>) => {
      await announcements.end(caller, params.announcementId);
      return reply(204);
    },
  };
}
