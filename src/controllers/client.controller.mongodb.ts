import type {
  NotificationParams,
  NotificationsQuery,
  ReadAllQuery,
} from '../models/notifications/notification.model';
import type { UpdatePreferencesInput } from '../models/users/preferences.model';
import type { OverviewService } from '../services/catch-up/overview.service';
import type { NotificationService } from '../services/notifications/notification.service';
import type { AnnouncementService } from '../services/operations/announcement.service';
import type { PreferenceService } from '../services/users/preference.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

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
    overview: async ({ caller }: CallerRequest) => reply(200, await overview.get(caller)),
    announcements: async () => reply(200, { announcements: await announcements.current() }),
    listNotifications: async ({ caller, query }: CallerRequest<{ query: NotificationsQuery }>) => {
      const { items, nextCursor, unread } = await notifications.list(caller, query);
      return reply(200, { notifications: items, nextCursor, unread });
    },
    readNotification: async ({ caller, params }: CallerRequest<{ params: NotificationParams }>) =>
      reply(200, await notifications.read(caller, params.notificationId)),
    readAllNotifications: async ({ caller, query }: CallerRequest<{ query: ReadAllQuery }>) =>
      reply(200, { unread: await notifications.readAll(caller, query) }),
    deleteNotification: async ({ caller, params }: CallerRequest<{ params: NotificationParams }>) => {
      await notifications.remove(caller, params.notificationId);
      return reply(204);
    },
    getPreferences: async ({ caller }: CallerRequest) =>
      reply(200, { preferences: await preferences.get(caller) }),
    updatePreferences: async ({ caller, body }: CallerRequest<{ body: UpdatePreferencesInput }>) =>
      reply(200, { preferences: await preferences.update(caller, body) }),
  };
}
