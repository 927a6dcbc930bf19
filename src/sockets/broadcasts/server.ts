import { toAnnouncement } from '../../models/operations/announcement.model';
import { toMaintenance } from '../../models/operations/maintenance.model';
import { everyone, to, type BroadcastsOf } from './broadcast.types';

/** Broadcasts of events of the whole server. */
export const serverBroadcasts = {
  'maintenance.changed': {
    everywhere: ({ state }) => [to(everyone(), 'maintenance:changed', toMaintenance(state))],
  },
  'announcement.created': {
    after: ({ announcement }) => [
      to(everyone(), 'announcement:created', { announcement: toAnnouncement(announcement) }),
    ],
  },
  'announcement.ended': {
    after: ({ announcementId }) => [
      to(everyone(), 'announcement:ended', { announcementId: announcementId.toHexString() }),
    ],
  },
  'access.changed': null,
  'node.joined': null,
  'node.left': null,
  // Broadcaster closes all transports, so that clients reconnect.
  'events.missed': null,
} satisfies BroadcastsOf<
  | 'maintenance.changed'
  | 'announcement.created'
  | 'announcement.ended'
  | 'access.changed'
  | 'node.joined'
  | 'node.left'
  | 'events.missed'
>;
