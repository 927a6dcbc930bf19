import type { SearchQuery } from '../models/search/search.model';
import type { SearchService } from '../services/search/search.service';
import type { CallerRequest, Reply } from './controller.types';

export function createSearchController(search: SearchService) {
  return {
    messages: async ({ caller, query }: CallerRequest<undefined, SearchQuery>): Promise<Reply> => {
      const { items, nextCursor } = await search.messages(caller, query);
      return { status: 200, body: { hits: items, nextCursor } };
    },
  };
}
