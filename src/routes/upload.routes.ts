import { z } from 'zod';
import type { Services } from '../context';
import { createUploadController } from '../controllers/upload.controller.mongodb';
import { avatarParams, avatarQuery, AVATARS_PATH, avatarUpload } from '../models/avatar.model';
import { groupParams, groupReply } from '../models/group.model';
import { userReply } from '../models/user.model';
import { callerRoute, publicRoute, type ApiRoute } from './api-route';

/** Files that people send, and what is made of them. */
export function uploadRoutes(services: Services): ApiRoute[] {
  const uploads = createUploadController(services);
  const tag = 'Files';
  return [
    callerRoute({
      method: 'put',
      path: '/api/users/me/avatar',
      operationId: 'setMyAvatar',
      tag,
      summary: 'Give oneself an avatar: a picture of at most 5 MB, cut to its middle.',
      upload: avatarUpload,
      // Files are written, which no transaction takes back.
      idempotency: 'recorded',
      replies: { 200: { description: 'The caller, with the new `avatarUrl`.', schema: userReply } },
      handle: uploads.setMyAvatar,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/users/me/avatar',
      operationId: 'removeMyAvatar',
      tag,
      summary: 'Be without an avatar.',
      replies: { 204: { description: 'The caller has no avatar.' } },
      handle: uploads.removeMyAvatar,
    }),
    callerRoute({
      method: 'put',
      path: '/api/groups/:groupId/avatar',
      operationId: 'setGroupAvatar',
      tag,
      summary: 'Give a group an avatar. Takes the role admin in the group.',
      params: groupParams,
      upload: avatarUpload,
      // Files are written, which no transaction takes back.
      idempotency: 'recorded',
      replies: { 200: { description: 'The group, with the new `avatarUrl`.', schema: groupReply } },
      handle: uploads.setGroupAvatar,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/avatar',
      operationId: 'removeGroupAvatar',
      tag,
      summary: "Take a group's avatar away. Takes the role admin in the group.",
      params: groupParams,
      replies: { 204: { description: 'The group has no avatar.' } },
      handle: uploads.removeGroupAvatar,
    }),
    publicRoute({
      method: 'get',
      path: `${AVATARS_PATH}/:name`,
      operationId: 'getAvatar',
      tag,
      summary: 'An avatar, for whoever knows its address: `<img>` sends no token.',
      params: avatarParams,
      query: avatarQuery,
      replies: {
        200: {
          description: 'The image. It never changes under this address.',
          schema: z.string().meta({ format: 'binary' }),
          contentType: 'image/webp',
        },
        304: { description: 'The client has it already (`If-None-Match`, `If-Modified-Since`).' },
      },
      handle: uploads.getAvatar,
    }),
  ];
}
