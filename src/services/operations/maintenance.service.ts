import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toMaintenance,
  type Maintenance,
  type MaintenanceInput,
  type MaintenanceState,
} from '../../models/operations/maintenance.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { EventBus } from '../kernel/event-bus';

/** Turns maintenance on and off. While it is on, the server serves only super admins, also after a restart. */
export class MaintenanceService {
  /** The stored state. It is cached because every call needs it. */
  private state: MaintenanceState = { enabled: false, message: '', until: null, version: 0 };

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
  ) {
    bus.subscribe((event) => {
      if (event.type === 'maintenance.changed') this.apply(event.state);
      return event.type === 'events.missed' ? this.start() : undefined;
    });
  }

  /** Loads the stored state, which may have been set before a restart or by another node. */
  async start(): Promise<void> {
    const stored = await this.collections.maintenance.findOne({ _id: 'maintenance' });
    if (stored) this.apply(stored);
  }

  get enabled(): boolean {
    return this.state.enabled;
  }

  /** Returns the state. @throws AppError forbidden */
  get(caller: Caller): Maintenance {
    this.access.requireSuperAdmin(caller);
    return toMaintenance(this.state);
  }

  /** Turns maintenance on or off. When this resolves, it is in effect and all clients have been informed. @throws AppError forbidden */
  async set(caller: Caller, input: MaintenanceInput): Promise<Maintenance> {
    this.access.requireSuperAdmin(caller);
    const { enabled, message } = input;
    const until = input.until === undefined ? null : new Date(input.until);
    return this.transactions.run(async () => {
      const stored = await this.collections.maintenance.findOneAndUpdate(
        { _id: 'maintenance' },
        {
          $set: { enabled, message, until, changedBy: caller.userId, changedAt: new Date() },
          $inc: { version: 1 },
        },
        { upsert: true, returnDocument: 'after' },
      );
      if (!stored) throw new Error('The state of maintenance was not stored.');
      await this.audit.record({
        action: 'maintenance.changed',
        actorId: caller.userId,
        targetId: null,
        address: caller.address,
        details: { enabled: String(enabled), message, until: until?.toISOString() ?? null },
      });
      const { version } = stored;
      await this.bus.publish({
        type: 'maintenance.changed',
        state: { enabled, message, until, version },
      });
      return toMaintenance(stored);
    });
  }

  private apply({ enabled, message, until, version }: MaintenanceState): void {
    if (version > this.state.version) this.state = { enabled, message, until, version };
  }

  /** Refuses everybody but super admins during maintenance. @param caller undefined before authentication. @throws AppError maintenance */
  admit(caller: Pick<Caller, 'role'> | undefined): void {
    const { enabled, message, until } = this.state;
    if (!enabled || caller?.role === 'super_admin') return;
    const secondsLeft = until ? Math.ceil((until.getTime() - Date.now()) / 1000) : 0;
    throw new AppError(
      'maintenance',
      message || 'The server is under maintenance.',
      { until: until?.toISOString() ?? null },
      secondsLeft > 0 ? secondsLeft : undefined,
    );
  }
}
