import { createClientController, type ClientServices } from '../controllers/client.controller.mongodb';
import { currentAnnouncementsReply } from '../models/operations/announcement.model';
import {
  notificationParams,
  notificationReply,
  notificationsQuery,
  notificationsReply,
  readAllQuery,
  unreadReply,
} from '../models/notifications/notification.model';
import { overviewSchema } from '../models/catch-up/overview.model';
import { preferencesReply, updatePreferencesInput } from '../models/users/preferences.model';
import { callerRoute, type ApiRoute } from './api-route';

/** The caller's own view of the server, and what is theirs. */
export function clientRoutes(services: ClientServices): ApiRoute[] {
  const client = createClientController(services);
  const tag = 'Client';
  return [
    callerRoute({
      method: 'get',
      path: '/api/client/overview',
      operationId: 'getOverview',
      tag,
      summary: 'All that a client draws at start.',
      replies: { 200: { description: 'The caller, and what is theirs.', schema: overviewSchema } },
      handle: client.overview,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/announcements',
      operationId: 'listCurrentAnnouncements',
      tag,
      summary: 'The announcements that hold now, newest first.',
      replies: {
        200: { description: 'At most 50.', schema: currentAnnouncementsReply },
      },
      handle: client.announcements,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/notifications',
      operationId: 'listNotifications',
      tag,
      summary: 'What the caller should know of, newest first.',
      query: notificationsQuery,
      replies: { 200: { description: 'A page of notifications.', schema: notificationsReply } },
      handle: client.listNotifications,
    }),
    callerRoute({
      method: 'post',
      path: '/api/client/notifications/read-all',
      operationId: 'readAllNotifications',
      tag,
      summary: 'Mark all notifications as read, or all up to one.',
      query: readAllQuery,
      replies: { 200: { description: 'They are read on all devices.', schema: unreadReply } },
      handle: client.readAllNotifications,
    }),
    callerRoute({
      method: 'post',
      path: '/api/client/notifications/:notificationId/read',
      operationId: 'readNotification',
      tag,
      summary: 'Mark a notification as read. A second time changes nothing.',
      params: notificationParams,
      replies: { 200: { description: 'The notification.', schema: notificationReply } },
      handle: client.readNotification,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/notifications/:notificationId',
      operationId: 'deleteNotification',
      tag,
      summary: 'Throw a notification away.',
      params: notificationParams,
      replies: { 204: { description: 'The notification is gone.' } },
      handle: client.deleteNotification,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/preferences',
      operationId: 'getPreferences',
      tag,
      summary: 'How the caller wants to have it.',
      replies: { 200: { description: 'The preferences.', schema: preferencesReply } },
      handle: client.getPreferences,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/client/preferences',
      operationId: 'updatePreferences',
      tag,
      summary: 'Change preferences; what is left out stays.',
      body: updatePreferencesInput,
      replies: { 200: { description: 'The preferences as they are now.', schema: preferencesReply } },
      handle: client.updatePreferences,
    }),
  ];
}
