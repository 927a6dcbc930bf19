import type { Kernel } from '../kernel/module';
import type { OperationsModule } from '../operations/module';
import type { UsersModule } from '../users/module';
import { NotificationService } from './notification.service';

export type NotificationsModule = ReturnType<typeof createNotifications>;

export function createNotifications(
  { collections, bus }: Kernel,
  { blocks }: UsersModule,
  { throttle }: OperationsModule,
) {
  return { notifications: new NotificationService(collections, blocks, throttle, bus) };
}
