import type { PageQuery } from '../models/kernel/common.model';
import type { DraftQuery, SaveDraftInput } from '../models/writing/draft.model';
import type { DraftService } from '../services/writing/draft.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };

export function createDraftsController(drafts: DraftService) {
  return {
    list: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await drafts.list(caller, query);
      return { status: 200, body: { drafts: items, nextCursor } };
    },
    save: async ({
      caller,
      params,
      query,
      body,
    }: CallerRequest<ChannelParams, DraftQuery, SaveDraftInput>): Promise<Reply> => ({
      status: 200,
      body: { draft: await drafts.save(caller, params.channelId, query, body) },
    }),
    remove: async ({ caller, params, query }: CallerRequest<ChannelParams, DraftQuery>): Promise<Reply> => {
      await drafts.remove(caller, params.channelId, query);
      return { status: 204 };
    },
  };
}
