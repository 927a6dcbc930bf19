import type { GroupParams } from '../models/group.model';
import {
  type AttachmentLinksInput,
  type AttachmentParams,
  type AttachmentQuery,
  isShownInline,
  type LinkedAttachmentQuery,
} from '../models/files/attachment.model';
import type { AvatarParams, AvatarQuery } from '../models/files/avatar.model';
import type { UploadedFile } from '../models/files/upload.model';
import type { OpenAttachment } from '../services/files/upload.service';
import type { AvatarService } from '../services/files/avatar.service';
import type { UploadService } from '../services/files/upload.service';
import type { CallerRequest, PublicRequest } from './controller.types';
import { reply, replyFile, type FileReply } from './reply';

/** Names are never reused, so the content of a name never changes. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/** Only the client may cache it, and must revalidate it at each use, because the permission may have ended. */
const PRIVATE_REVALIDATED = 'private, no-cache';

export interface UploadServices {
  avatars: AvatarService;
  uploads: UploadService;
}

export function createUploadController({ avatars, uploads }: UploadServices) {
  return {
    addUpload: async ({ caller, file }: CallerRequest<{ file: UploadedFile }>) =>
      reply(201, { attachment: await uploads.add(caller, file) }),
    removeUpload: async ({ caller, params }: CallerRequest<{ params: AttachmentParams }>) => {
      await uploads.remove(caller, params.attachmentId);
      return reply(204);
    },
    getAttachment: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: AttachmentParams; query: AttachmentQuery }>) =>
      attachmentReply(await uploads.open(caller, params.attachmentId, query.thumbnail)),
    getLinkedAttachment: async ({
      params,
      query: { ticket, thumbnail },
      origin,
    }: PublicRequest<{ params: AttachmentParams; query: LinkedAttachmentQuery }>) =>
      attachmentReply(await uploads.openLinked(params.attachmentId, ticket, thumbnail, origin.address)),
    linkAttachments: ({ caller, body }: CallerRequest<{ body: AttachmentLinksInput }>) =>
      Promise.resolve(reply(200, uploads.link(caller, body.attachmentIds))),
    setMyAvatar: async ({ caller, file }: CallerRequest<{ file: UploadedFile }>) =>
      reply(200, { user: await avatars.setOwn(caller, file) }),
    removeMyAvatar: async ({ caller }: CallerRequest) => {
      await avatars.removeOwn(caller);
      return reply(204);
    },
    setGroupAvatar: async ({
      caller,
      params,
      file,
    }: CallerRequest<{ params: GroupParams; file: UploadedFile }>) =>
      reply(200, { group: await avatars.setForGroup(caller, params.groupId, file) }),
    removeGroupAvatar: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) => {
      await avatars.removeForGroup(caller, params.groupId);
      return reply(204);
    },
    getAvatar: async ({ params, query }: PublicRequest<{ params: AvatarParams; query: AvatarQuery }>) => {
      const id = params.name.slice(0, 32);
      const content = await avatars.open(id, query.size);
      return replyFile({ content, tag: `${id}-${query.size}`, cacheControl: IMMUTABLE, inline: true });
    },
  };
}

function attachmentReply({ content, upload, mediaType }: OpenAttachment): FileReply {
  // An upload never changes, but its thumbnail has the same id and another content.
  const tag = `${upload._id.toHexString()}-${mediaType === upload.mediaType ? 'whole' : 'thumbnail'}`;
  const inline = isShownInline(mediaType);
  const type = upload.charset ? `${mediaType}; charset=${upload.charset}` : mediaType;
  return replyFile({
    content,
    tag,
    cacheControl: PRIVATE_REVALIDATED,
    mediaType: type,
    inline,
    name: upload.name,
  });
}
