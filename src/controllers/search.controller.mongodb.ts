import type { SearchQuery } from '../models/search/search.model';
import type { SearchService } from '../services/search/search.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createSearchController(search: SearchService) {
  return {
    messages: async ({ caller, query }: CallerRequest<{ query: SearchQuery }>) => {
      const { items, nextCursor } = await search.messages(caller, query);
      return reply(200, { hits: items, nextCursor });
    },
  };
}
