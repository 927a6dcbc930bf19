import type { Kernel } from '../kernel/module';
import { UserService } from '../user.service';
import { Blocks } from './blocks';
import { PreferenceService } from './preference.service';
import { SuperAdmins } from './super-admins';

export type UsersModule = ReturnType<typeof createUsers>;

export function createUsers({ collections, transactions, bus }: Kernel) {
  return {
    users: new UserService(collections, transactions, bus),
    blocks: new Blocks(collections),
    preferences: new PreferenceService(collections, transactions, bus),
    superAdmins: new SuperAdmins(collections),
  };
}
