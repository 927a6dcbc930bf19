import { z } from 'zod';

/** One record of the export of an account. */
export const exportedRecord = z.strictObject({
  kind: z.enum([
    'user',
    'last_seen',
    'session',
    'audit_entry',
    'block',
    'preferences',
    'notification',
    'membership',
    'invite_made',
    'invite',
    'join_request',
    'group_ban',
    'channel_membership',
    'channel_restriction',
    'channel_setting',
    'read_marker',
    'thread_follow',
    'bookmark',
    'reaction',
    'report',
    'call',
    'upload',
    'scheduled_message',
    'draft',
    'message',
    'message_edit',
  ]),
  data: z
    .looseObject({})
    .meta({ description: 'The object as the API returns it, or the part of it that the caller may see.' }),
});
export type ExportedRecord = z.output<typeof exportedRecord>;
