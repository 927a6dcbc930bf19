import { createUploadController, type UploadServices } from '../controllers/upload.controller.mongodb';
import {
  ALLOWED_MEDIA_TYPES,
  attachmentLinksInput,
  attachmentLinksReply,
  attachmentParams,
  attachmentQuery,
  attachmentReply,
  FILES_PATH,
  linkedAttachmentQuery,
} from '../models/files/attachment.model';
import { avatarParams, avatarQuery, AVATARS_PATH, avatarUpload } from '../models/files/avatar.model';
import { groupParams, groupReply } from '../models/group.model';
import type { UploadSpec } from '../models/files/upload.model';
import { THROTTLES } from '../models/operations/throttle.model';
import { userReply } from '../models/user.model';
import { callerRoute, publicRoute, type ApiRoute, type ReplySpecs } from './api-route';

/** What a route answers that sends a file on a message. */
const FILE_REPLIES = {
  200: {
    description: 'The file. All but pictures, sound and video come as a download.',
    file: 'application/octet-stream',
  },
  206: {
    description: 'The part of it that was asked for (`Range`).',
    file: 'application/octet-stream',
  },
  304: { description: 'The client has it already (`If-None-Match`).' },
} satisfies ReplySpecs;

/** Files that people send, and what is made of them. */
export function uploadRoutes(services: UploadServices): ApiRoute[] {
  const uploads = createUploadController(services);
  const tag = 'Files';
  const upload: UploadSpec = {
    field: 'file',
    maxBytes: services.uploads.maxBytes,
    mediaTypes: ALLOWED_MEDIA_TYPES,
    named: true,
  };
  return [
    callerRoute({
      method: 'post',
      path: '/api/upload',
      operationId: 'uploadFile',
      tag,
      summary: 'Upload a file, to send it with a message within a day (`attachmentIds`).',
      upload,
      throttle: THROTTLES.upload,
      // Files are written, which no transaction takes back.
      idempotency: 'recorded',
      replies: { 201: { description: 'What a message will say of it.', schema: attachmentReply } },
      handle: uploads.addUpload,
    }),
    callerRoute({
      method: 'post',
      path: '/api/upload/links',
      operationId: 'linkAttachments',
      tag,
      summary:
        'Addresses of files for `<img>` and the like, which send no token. Good for minutes, for this session.',
      body: attachmentLinksInput,
      reads: true,
      replies: {
        200: {
          description: 'Whether one may read the files is asked at each use.',
          schema: attachmentLinksReply,
        },
      },
      handle: uploads.linkAttachments,
    }),
    callerRoute({
      method: 'get',
      path: '/api/upload/:attachmentId',
      operationId: 'getAttachment',
      tag,
      summary: 'A file: for those who may read a message that has it, and for its owner until it is sent.',
      params: attachmentParams,
      query: attachmentQuery,
      replies: FILE_REPLIES,
      handle: uploads.getAttachment,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/upload/:attachmentId',
      operationId: 'removeUpload',
      tag,
      summary: 'Take back what one has uploaded and not sent.',
      params: attachmentParams,
      replies: { 204: { description: 'It is gone.' } },
      handle: uploads.removeUpload,
    }),
    publicRoute({
      method: 'get',
      path: `${FILES_PATH}/:attachmentId`,
      operationId: 'getLinkedAttachment',
      tag,
      summary: 'As getAttachment, for whom the address was given out to, as long as their session stands.',
      params: attachmentParams,
      query: linkedAttachmentQuery,
      replies: FILE_REPLIES,
      handle: uploads.getLinkedAttachment,
    }),
    callerRoute({
      method: 'put',
      path: '/api/users/me/avatar',
      operationId: 'setMyAvatar',
      tag,
      summary: 'Give oneself an avatar: a picture of at most 5 MB, cut to its middle.',
      upload: avatarUpload,
      throttle: THROTTLES.upload,
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
      throttle: THROTTLES.upload,
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
          file: 'image/webp',
        },
        304: { description: 'The client has it already (`If-None-Match`, `If-Modified-Since`).' },
      },
      handle: uploads.getAvatar,
    }),
  ];
}
