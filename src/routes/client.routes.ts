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

/** The caller's overview, notifications and preferences. */
export function clientRoutes(services: ClientServices): ApiRoute[] {
  const client = createClientController(services);
  const tag = 'Client';
  return [
    callerRoute({
      method: 'get',
      path: '/api/client/overview',
      operationId: 'getOverview',
      tag,
      summary: 'Get everything that a client displays at start.',
      replies: { 200: { description: 'The overview.', schema: overviewSchema } },
      handle: client.overview,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/announcements',
      operationId: 'listCurrentAnnouncements',
      tag,
      summary: 'List the current announcements, newest first.',
      replies: {
        200: { description: 'At most 50 announcements.', schema: currentAnnouncementsReply },
      },
      handle: client.announcements,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/notifications',
      operationId: 'listNotifications',
      tag,
      summary: "List the caller's notifications, newest first.",
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
      replies: {
        200: { description: 'The notifications are marked as read on all devices.', schema: unreadReply },
      },
      handle: client.readAllNotifications,
    }),
    callerRoute({
      method: 'post',
      path: '/api/client/notifications/:notificationId/read',
      operationId: 'readNotification',
      tag,
      summary: 'Mark a notification as read. Repeating it has no effect.',
      params: notificationParams,
      replies: { 200: { description: 'The notification.', schema: notificationReply } },
      handle: client.readNotification,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/notifications/:notificationId',
      operationId: 'deleteNotification',
      tag,
      summary: 'Delete a notification.',
      params: notificationParams,
      replies: { 204: { description: 'The notification was deleted.' } },
      handle: client.deleteNotification,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/preferences',
      operationId: 'getPreferences',
      tag,
      summary: "Get the caller's preferences.",
      replies: { 200: { description: 'The preferences.', schema: preferencesReply } },
      handle: client.getPreferences,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/client/preferences',
      operationId: 'updatePreferences',
      tag,
      summary: "Change the caller's preferences. Omitted fields keep their values.",
      body: updatePreferencesInput,
      replies: { 200: { description: 'The preferences after the change.', schema: preferencesReply } },
      handle: client.updatePreferences,
    }),
  ];
}
