import { createSearchController } from '../controllers/search.controller.mongodb';
import { searchQuery, searchReply } from '../models/search/search.model';
import type { SearchService } from '../services/search/search.service';
import { callerRoute, type ApiRoute } from './api-route';

export function searchRoutes(service: SearchService): ApiRoute[] {
  const search = createSearchController(service);
  return [
    callerRoute({
      method: 'get',
      path: '/api/search/messages',
      operationId: 'searchMessages',
      tag: 'Messages',
      summary:
        'Search all messages that the caller may currently read, sorted by relevance, then newest first.',
      query: searchQuery,
      replies: { 200: { description: 'A page of hits.', schema: searchReply } },
      handle: search.messages,
    }),
  ];
}
