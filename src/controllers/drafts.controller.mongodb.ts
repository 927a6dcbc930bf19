import type { ChannelParams } from '../models/channel.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { DraftQuery, SaveDraftInput } from '../models/writing/draft.model';
import type { DraftService } from '../services/writing/draft.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createDraftsController(drafts: DraftService) {
  return {
    list: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await drafts.list(caller, query);
      return reply(200, { drafts: items, nextCursor });
    },
    save: async ({
      caller,
      params,
      query,
      body,
    }: CallerRequest<{ params: ChannelParams; query: DraftQuery; body: SaveDraftInput }>) =>
      reply(200, { draft: await drafts.save(caller, params.channelId, query, body) }),
    remove: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: ChannelParams; query: DraftQuery }>) => {
      await drafts.remove(caller, params.channelId, query);
      return reply(204);
    },
  };
}
