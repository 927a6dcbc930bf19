import type { Services } from '../context';
import { createClientController } from '../controllers/client.controller.mongodb';
import { currentAnnouncementsReply } from '../models/announcement.model';
import { callerRoute, type ApiRoute } from './api-route';

/** The caller's own view of the server. */
export function clientRoutes(services: Services): ApiRoute[] {
  const client = createClientController(services);
  const tag = 'Client';
  return [
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
  ];
}
