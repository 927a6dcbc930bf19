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

/** The routes by which super admins administer the server as a whole. */
export function serverAdminRoutes(services: ServerAdminServices): ApiRoute[] {
  const admin = createServerAdminController(services);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/permissions/explain',
      operationId: 'explainPermission',
      tag,
      summary: 'Explain whether a user may perform an action, and which rule decides it.',
      query: explainQuery,
      replies: { 200: { description: 'The decision.', schema: explanationReply } },
      handle: admin.explainPermission,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/maintenance',
      operationId: 'getMaintenance',
      tag,
      summary: 'Get the maintenance state of the server.',
      replies: {
        200: { description: 'The maintenance state.', schema: maintenanceReply },
      },
      handle: admin.getMaintenance,
    }),
    callerRoute({
      method: 'put',
      path: '/api/admin/maintenance',
      operationId: 'setMaintenance',
      tag,
      summary: 'Enable or disable maintenance. During maintenance, the server answers only super admins.',
      body: maintenanceInput,
      replies: {
        200: { description: 'The new maintenance state.', schema: maintenanceReply },
      },
      handle: admin.setMaintenance,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/announcements',
      operationId: 'createAnnouncement',
      tag,
      summary: 'Publish an announcement to all users.',
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
      summary: 'List all announcements, current and past, newest first.',
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
        204: { description: 'The announcement has ended.' },
      },
      handle: admin.endAnnouncement,
    }),
  ];
}
