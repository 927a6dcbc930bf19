import type { AccessModule } from '../access/module';
import type { Kernel } from '../kernel/module';
import { observeQueue } from '../kernel/observations';
import { SearchService } from './search.service';

export function createSearch({ collections, telemetry }: Kernel, { access }: AccessModule) {
  const search = new SearchService(collections, access);
  observeQueue(telemetry, 'search', search.queue);
  return { search };
}
