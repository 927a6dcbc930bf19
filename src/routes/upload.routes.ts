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

/** The replies of the routes that send an attachment. */
const FILE_REPLIES = {
  200: {
    description: 'The file. Types other than images, audio and video are sent as a download.',
    file: 'application/octet-stream',
  },
  206: {
    description: 'The requested part of the file (`Range`).',
    file: 'application/octet-stream',
  },
  304: { description: 'The client already has the file (`If-None-Match`).' },
} satisfies ReplySpecs;

/** Attachments and avatars. */
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
      summary: 'Upload a file. Send it with a message (`attachmentIds`) within a day, or it is deleted.',
      upload,
      throttle: THROTTLES.upload,
      // A transaction cannot revert the written files.
      idempotency: 'recorded',
      replies: {
        201: { description: 'The attachment as a message will contain it.', schema: attachmentReply },
      },
      handle: uploads.addUpload,
    }),
    callerRoute({
      method: 'post',
      path: '/api/upload/links',
      operationId: 'linkAttachments',
      answersSecret: true,
      tag,
      summary:
        'Get temporary URLs of files for elements such as `<img>`, which send no token. They are valid for some minutes and bound to the session.',
      body: attachmentLinksInput,
      reads: true,
      replies: {
        200: {
          description: 'The URLs. Permission to read a file is checked at each use.',
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
      summary:
        'Get a file. Requires permission to read a message with it, or being its owner while it is not sent.',
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
      summary: "Delete one of the caller's uploads that has not been sent.",
      params: attachmentParams,
      replies: { 204: { description: 'The upload was deleted.' } },
      handle: uploads.removeUpload,
    }),
    publicRoute({
      method: 'get',
      path: `${FILES_PATH}/:attachmentId`,
      operationId: 'getLinkedAttachment',
      tag,
      summary:
        'Get a file with the ticket of a temporary URL. Valid while the session exists for which it was created.',
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
      summary: "Set the caller's avatar: an image of at most 5 MB, which is cropped to a centred square.",
      upload: avatarUpload,
      throttle: THROTTLES.upload,
      // A transaction cannot revert the written files.
      idempotency: 'recorded',
      replies: { 200: { description: 'The caller, with the new `avatarUrl`.', schema: userReply } },
      handle: uploads.setMyAvatar,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/users/me/avatar',
      operationId: 'removeMyAvatar',
      tag,
      summary: "Remove the caller's avatar.",
      replies: { 204: { description: 'The caller has no avatar.' } },
      handle: uploads.removeMyAvatar,
    }),
    callerRoute({
      method: 'put',
      path: '/api/groups/:groupId/avatar',
      operationId: 'setGroupAvatar',
      tag,
      summary: 'Set the avatar of a group. Requires the role admin in the group.',
      params: groupParams,
      upload: avatarUpload,
      throttle: THROTTLES.upload,
      // A transaction cannot revert the written files.
      idempotency: 'recorded',
      replies: { 200: { description: 'The group, with the new `avatarUrl`.', schema: groupReply } },
      handle: uploads.setGroupAvatar,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/avatar',
      operationId: 'removeGroupAvatar',
      tag,
      summary: 'Remove the avatar of a group. Requires the role admin in the group.',
      params: groupParams,
      replies: { 204: { description: 'The group has no avatar.' } },
      handle: uploads.removeGroupAvatar,
    }),
    publicRoute({
      method: 'get',
      path: `${AVATARS_PATH}/:name`,
      operationId: 'getAvatar',
      tag,
      summary: 'Get an avatar. Requires no token, because `<img>` sends none; the URL is not guessable.',
      params: avatarParams,
      query: avatarQuery,
      replies: {
        200: {
          description: 'The image. The content at this URL never changes.',
          file: 'image/webp',
        },
        304: { description: 'The client already has the image (`If-None-Match`, `If-Modified-Since`).' },
      },
      handle: uploads.getAvatar,
    }),
  ];
}
