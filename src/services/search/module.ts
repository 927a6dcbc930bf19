import type { AccessModule } from '../access/module';
import type { Kernel } from '../kernel/module';
import { SearchService } from './search.service';

export function createSearch({ collections }: Kernel, { access }: AccessModule) {
  return { search: new SearchService(collections, access) };
}
