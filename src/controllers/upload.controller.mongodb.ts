import type { Services } from '../context';
import type { AvatarQuery } from '../models/avatar.model';
import type { UploadedFile } from '../models/upload.model';
import type { CallerRequest, PublicRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type Nothing = undefined;

/** Names are never given twice, so what one of them stands for never changes. */
const FOR_EVER = 'public, max-age=31536000, immutable';

export function createUploadController({ avatars }: Pick<Services, 'avatars'>) {
  return {
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
      return { status: 200, file: { content, tag: `${id}-${query.size}`, cacheControl: FOR_EVER } };
    },
  };
}
