import type { NotificationsQuery, ReadAllQuery } from '../models/notifications/notification.model';
import type { UpdatePreferencesInput } from '../models/users/preferences.model';
import type { OverviewService } from '../services/catch-up/overview.service';
import type { NotificationService } from '../services/notifications/notification.service';
import type { AnnouncementService } from '../services/operations/announcement.service';
import type { PreferenceService } from '../services/users/preference.service';
import type { CallerRequest, Reply } from './controller.types';

type NotificationParams = { notificationId: string };

export interface ClientServices {
  overview: OverviewService;
  announcements: AnnouncementService;
  notifications: NotificationService;
  preferences: PreferenceService;
}

export function createClientController({
  overview,
  announcements,
  notifications,
  preferences,
}: ClientServices) {
  return {
    overview: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: await overview.get(caller),
    }),
    announcements: async (): Promise<Reply> => ({
      status: 200,
      body: { announcements: await announcements.current() },
    }),
    listNotifications: async ({
      caller,
      query,
    }: CallerRequest<undefined, NotificationsQuery>): Promise<Reply> => {
      const { items, nextCursor, unread } = await notifications.list(caller, query);
      return { status: 200, body: { notifications: items, nextCursor, unread } };
    },
    readNotification: async ({ caller, params }: CallerRequest<NotificationParams>): Promise<Reply> => ({
      status: 200,
      body: await notifications.read(caller, params.notificationId),
    }),
    readAllNotifications: async ({
      caller,
      query,
    }: CallerRequest<undefined, ReadAllQuery>): Promise<Reply> => ({
      status: 200,
      body: { unread: await notifications.readAll(caller, query) },
    }),
    deleteNotification: async ({ caller, params }: CallerRequest<NotificationParams>): Promise<Reply> => {
      await notifications.remove(caller, params.notificationId);
      return { status: 204 };
    },
    getPreferences: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: { preferences: await preferences.get(caller) },
    }),
    updatePreferences: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, UpdatePreferencesInput>): Promise<Reply> => ({
      status: 200,
      body: { preferences: await preferences.update(caller, body) },
    }),
  };
}
