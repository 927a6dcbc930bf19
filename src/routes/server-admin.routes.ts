import {
  createServerAdminController,
  type ServerAdminServices,
} from '../controllers/server-admin.controller.mongodb';
import {
  announcementParams,
  announcementReply,
  announcementsReply,
  createAnnouncementInput,
} from '../models/operations/announcement.model';
import { pageQuery } from '../models/kernel/common.model';
import { maintenanceInput, maintenanceReply } from '../models/operations/maintenance.model';
import { explainQuery, explanationReply } from '../models/access/permission.model';
import { callerRoute, type ApiRoute } from './api-route';

/** For super admins: what concerns the server as a whole. */
export function serverAdminRoutes(services: ServerAdminServices): ApiRoute[] {
  const admin = createServerAdminController(services);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/permissions/explain',
      operationId: 'explainPermission',
      tag,
      summary: 'Why somebody may or may not do something: the rule that decides.',
      query: explainQuery,
      replies: { 200: { description: 'The decision.', schema: explanationReply } },
      handle: admin.explainPermission,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/maintenance',
      operationId: 'getMaintenance',
      tag,
      summary: 'Whether the server is under maintenance.',
      replies: {
        200: { description: 'It is, or it is not.', schema: maintenanceReply },
      },
      handle: admin.getMaintenance,
    }),
    callerRoute({
      method: 'put',
      path: '/api/admin/maintenance',
      operationId: 'setMaintenance',
      tag,
      summary: 'Turn maintenance on or off: while it is on, only super admins are answered.',
      body: maintenanceInput,
      replies: {
        200: { description: 'It counts from now on.', schema: maintenanceReply },
      },
      handle: admin.setMaintenance,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/announcements',
      operationId: 'createAnnouncement',
      tag,
      summary: 'Tell everybody something.',
      body: createAnnouncementInput,
      replies: {
        201: { description: 'The announcement.', schema: announcementReply },
      },
      handle: admin.announce,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/announcements',
      operationId: 'listAnnouncements',
      tag,
      summary: 'All announcements that there have been, newest first.',
      query: pageQuery,
      replies: {
        200: { description: 'A page of announcements.', schema: announcementsReply },
      },
      handle: admin.listAnnouncements,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/admin/announcements/:announcementId',
      operationId: 'endAnnouncement',
      tag,
      summary: 'End an announcement.',
      params: announcementParams,
      replies: {
        204: { description: 'It no longer holds.' },
      },
      handle: admin.endAnnouncement,
    }),
  ];
}
