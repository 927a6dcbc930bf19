import type { AccessModule } from '../access/module';
import type { Kernel } from '../kernel/module';
import type { OperationsModule } from '../operations/module';
import type { UsersModule } from '../users/module';
import { NotificationService } from './notification.service';

interface Needs {
  access: AccessModule;
  users: UsersModule;
  operations: OperationsModule;
}

export type NotificationsModule = ReturnType<typeof createNotifications>;

export function createNotifications(kernel: Kernel, needs: Needs) {
  const { access, rights } = needs.access;
  const { blocks } = needs.users;
  const { throttle } = needs.operations;
  return { notifications: new NotificationService({ ...kernel, access, rights, blocks, throttle }) };
}
