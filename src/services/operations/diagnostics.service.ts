import type {
  ConnectedUser,
  ConnectionsQuery,
  ErrorGroup,
  JobStatus,
} from '../../models/operations/diagnostics.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import type { Access } from '../access/access';
import type { Jobs } from '../kernel/jobs';
import type { LiveConnection, LiveConnections } from './live-connections';
import type { RecentErrors } from './recent-errors';
import type { Timing, Timings } from './timings';
import type { UserService } from '../user.service';

/** How the process that answers is doing: who is connected to it, what is slow, what goes wrong. */
export class DiagnosticsService {
  constructor(
    private readonly access: Access,
    private readonly users: UserService,
    private readonly live: Pick<LiveConnections, 'all' | 'users' | 'sockets'>,
    private readonly timings: Timings,
    private readonly errors: RecentErrors,
    private readonly work: Pick<Jobs, 'status'>,
  ) {}

  /** The routes and events whose slowest calls are slowest, that first. @throws AppError forbidden */
  slowest(caller: Caller, limit: number): Timing[] {
    this.access.requireSuperAdmin(caller);
    return this.timings.slowest(limit);
  }

  /** Errors since the start, those that are the same one as one; the one seen last first. @throws AppError forbidden */
  recentErrors(caller: Caller): ErrorGroup[] {
    this.access.requireSuperAdmin(caller);
    return this.errors.list();
  }

  /** How the background jobs are doing, by name. @throws AppError forbidden */
  jobs(caller: Caller): JobStatus[] {
    this.access.requireSuperAdmin(caller);
    return this.work.status();
  }

  /** Who is connected, by their ids, and on which devices. @throws AppError forbidden */
  async connections(
    caller: Caller,
    { userId, cursor, limit }: ConnectionsQuery,
  ): Promise<Page<ConnectedUser> & { total: { users: number; connections: number } }> {
    this.access.requireSuperAdmin(caller);
    const all = this.live.all();
    const ids = [...all.keys()].filter((id) => (!userId || id === userId) && (!cursor || id > cursor)).sort();
    const { items, nextCursor } = cutPage(ids.slice(0, limit + 1), limit, (last) => last);
    // As they are at this moment; a name is looked up afterwards.
    const open = items.map((id) => [id, [...(all.get(id)?.values() ?? [])]] as const);
    const users = await this.users.findByIds(open.flatMap(([, [first]]) => (first ? [first.userId] : [])));
    return {
      items: open.map(([id, connections]) => ({
        userId: id,
        username: users.get(id)?.username ?? '',
        connections: connections.map(show),
      })),
      nextCursor,
      total: { users: this.live.users, connections: this.live.sockets },
    };
  }
}

function show({ id, sessionId, address, userAgent, since }: LiveConnection) {
  return { id, sessionId: sessionId.toHexString(), address, userAgent, since: since.toISOString() };
}
