import type { Collections } from '../../db/collections';
import {
  COUNTED_COLLECTIONS,
  NO_COUNTS,
  type HourlyCountDocument,
  type Statistics,
  type StatisticsQuery,
  type Step,
} from '../../models/admin/statistics.model';
import type { Caller } from '../../models/identity/session.model';
import { USER_STATES, type UserState } from '../../models/user.model';
import type { Access } from '../access/access';
import type { HourlyCounts } from './hourly-counts';
import type { DiagnosticsService } from '../operations/diagnostics.service';
import type { StorageUsage } from '../files/storage-usage';

/** The length of each step. Days begin at midnight UTC. */
const STEP_MS: Record<Step, number> = { hour: 3600_000, day: 24 * 3600_000 };

/** Statistics of the server. No query reads more than the messages of the last minutes, however many there are. */
export class StatisticsService {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly hourly: HourlyCounts,
    private readonly storage: StorageUsage,
    private readonly diagnostics: Pick<DiagnosticsService, 'online'>,
  ) {}

  /** @throws AppError forbidden */
  async get(caller: Caller, query: StatisticsQuery): Promise<Statistics> {
    this.access.requireSuperAdmin(caller);
    const { groups, channels, messages, videoCalls } = this.collections;
    const [users, groupCount, channelCount, messageCount, callCount, openCalls, storage, online, series] =
      await Promise.all([
        this.usersByState(),
        // From the metadata of the collections: exact except for concurrent writes.
        groups.estimatedDocumentCount(),
        channels.estimatedDocumentCount(),
        messages.estimatedDocumentCount(),
        videoCalls.estimatedDocumentCount(),
        videoCalls.countDocuments({ open: true }),
        this.storage.get(),
        this.diagnostics.online(),
        this.series(query),
      ]);
    return {
      at: new Date().toISOString(),
      users,
      groups: groupCount,
      channels: channelCount,
      messages: messageCount,
      videoCalls: { total: callCount, open: openCalls },
      storage: { ...storage, measuredAt: storage.measuredAt.toISOString() },
      online,
      series,
    };
  }

  private async usersByState(): Promise<Record<UserState, number>> {
    const { users } = this.collections;
    const countState = async (state: UserState) =>
      [state, await users.countDocuments({ state }, { hint: 'state_order' })] as const;
    const otherStates = USER_STATES.filter((state) => state !== 'active');
    const [all, expired, ...counts] = await Promise.all([
      users.estimatedDocumentCount(),
      users.countDocuments({ state: 'suspended', 'suspension.until': { $lte: new Date() } }),
      ...otherStates.map(countState),
    ]);
    const byState = Object.fromEntries(counts) as Record<UserState, number>;
    byState.suspended -= expired;
    const others = Object.values(byState).reduce((sum, each) => sum + each, 0);
    return { ...byState, active: Math.max(0, all - others) };
  }

  private async series({ step, points }: StatisticsQuery): Promise<Statistics['series']> {
    const length = STEP_MS[step];
    const first = Math.floor(Date.now() / length) * length - (points - 1) * length;
    const { hours, countedTo } = await this.hourly.since(new Date(first));
    const series = Array.from({ length: points }, (_, index) => ({
      _id: new Date(first + index * length),
      ...NO_COUNTS,
    }));
    for (const hour of hours) {
      const point = series[Math.floor((hour._id.getTime() - first) / length)];
      if (point) addTo(point, hour);
    }
    return {
      step,
      countedTo: countedTo.toISOString(),
      points: series.map(({ _id, ...counts }) => ({ from: _id.toISOString(), ...counts })),
    };
  }
}

function addTo(point: HourlyCountDocument, hour: HourlyCountDocument): void {
  for (const each of COUNTED_COLLECTIONS) point[each] += hour[each];
}
