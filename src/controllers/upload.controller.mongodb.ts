import {
  isShownInline,
  type AttachmentLinksInput,
  type AttachmentQuery,
  type LinkedAttachmentQuery,
} from '../models/files/attachment.model';
import type { AvatarQuery } from '../models/files/avatar.model';
import type { UploadedFile } from '../models/files/upload.model';
import type { OpenAttachment } from '../services/files/upload.service';
import type { AvatarService } from '../services/files/avatar.service';
import type { UploadService } from '../services/files/upload.service';
import type { CallerRequest, PublicRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type AttachmentParams = { attachmentId: string };
type Nothing = undefined;

/** Names are never given twice, so what one of them stands for never changes. */
const FOR_EVER = 'public, max-age=31536000, immutable';

/** Nobody else may keep it, and whoever does asks each time whether they may still see it. */
const ASKING_AGAIN = 'private, no-cache';

export interface UploadServices {
  avatars: AvatarService;
  uploads: UploadService;
}

export function createUploadController({ avatars, uploads }: UploadServices) {
  return {
    addUpload: async ({
      caller,
      file,
    }: CallerRequest<Nothing, Nothing, Nothing, UploadedFile>): Promise<Reply> => ({
      status: 201,
      body: { attachment: await uploads.add(caller, file) },
    }),
    removeUpload: async ({ caller, params }: CallerRequest<AttachmentParams>): Promise<Reply> => {
      await uploads.remove(caller, params.attachmentId);
      return { status: 204 };
    },
    getAttachment: async ({
      caller,
      params,
      query,
    }: CallerRequest<AttachmentParams, AttachmentQuery>): Promise<Reply> =>
      sent(await uploads.open(caller, params.attachmentId, query.thumbnail)),
    getLinkedAttachment: async ({
      params,
      query: { ticket, thumbnail },
      origin,
    }: PublicRequest<AttachmentParams, LinkedAttachmentQuery>): Promise<Reply> =>
      sent(await uploads.openLinked(params.attachmentId, ticket, thumbnail, origin.address)),
    linkAttachments: ({
      caller,
      body,
    }: CallerRequest<Nothing, Nothing, AttachmentLinksInput>): Promise<Reply> =>
      Promise.resolve({ status: 200, body: uploads.link(caller, body.attachmentIds) }),
    setMyAvatar: async ({
      caller,
      file,
    }: CallerRequest<Nothing, Nothing, Nothing, UploadedFile>): Promise<Reply> => ({
      status: 200,
      body: { user: await avatars.setMine(caller, file) },
    }),
    removeMyAvatar: async ({ caller }: CallerRequest): Promise<Reply> => {
      await avatars.removeMine(caller);
      return { status: 204 };
    },
    setGroupAvatar: async ({
      caller,
      params,
      file,
    }: CallerRequest<GroupParams, Nothing, Nothing, UploadedFile>): Promise<Reply> => ({
      status: 200,
      body: { group: await avatars.setOfGroup(caller, params.groupId, file) },
    }),
    removeGroupAvatar: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => {
      await avatars.removeOfGroup(caller, params.groupId);
      return { status: 204 };
    },
    getAvatar: async ({ params, query }: PublicRequest<{ name: string }, AvatarQuery>): Promise<Reply> => {
      const id = params.name.slice(0, 32);
      const content = await avatars.open(id, query.size);
      return {
        status: 200,
        file: { content, tag: `${id}-${query.size}`, cacheControl: FOR_EVER, inline: true },
      };
    },
  };
}

function sent({ content, upload, mediaType }: OpenAttachment): Reply {
  // An upload never changes; its thumbnail is another content under the same id.
  const tag = `${upload._id.toHexString()}-${mediaType === upload.mediaType ? 'whole' : 'thumbnail'}`;
  const inline = isShownInline(mediaType);
  const type = upload.charset ? `${mediaType}; charset=${upload.charset}` : mediaType;
  const file = { content, tag, cacheControl: ASKING_AGAIN, mediaType: type, inline, name: upload.name };
  return { status: 200, file };
}
