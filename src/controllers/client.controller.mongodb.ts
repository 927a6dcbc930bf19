import type { Services } from '../context';
import type { Reply } from './controller.types';

export function createClientController({ announcements }: Services) {
  return {
    announcements: async (): Promise<Reply> => ({
      status: 200,
      body: { announcements: await announcements.current() },
    }),
  };
}
