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

/** Reports the state of this process: connections, slow operations, errors and background jobs. */
export class DiagnosticsService {
  constructor(
    private readonly access: Access,
    private readonly users: UserService,
    private readonly live: Pick<LiveConnections, 'all' | 'users' | 'sockets'>,
    private readonly timings: Timings,
    private readonly errors: RecentErrors,
    private readonly work: Pick<Jobs, 'status'>,
  ) {}

  /** Lists the operations with the slowest calls, the slowest first. @throws AppError forbidden */
  async slowest(caller: Caller, limit: number): Promise<Timing[]> {
    this.access.requireSuperAdmin(caller);
    return this.timings.slowest(limit);
  }

  /** Lists the errors since the start, grouped by equal ones, the most recent first. @throws AppError forbidden */
  recentErrors(caller: Caller): ErrorGroup[] {
    this.access.requireSuperAdmin(caller);
    return this.errors.list();
  }

  /** Lists the status of the background jobs, by name. @throws AppError forbidden */
  jobs(caller: Caller): JobStatus[] {
    this.access.requireSuperAdmin(caller);
    return this.work.status();
  }

  /** Lists the connected users, in the order of their ids, and their connections. @throws AppError forbidden */
  async connections(
    caller: Caller,
    { userId, cursor, limit }: ConnectionsQuery,
  ): Promise<Page<ConnectedUser> & { total: { users: number; connections: number } }> {
    this.access.requireSuperAdmin(caller);
    const all = this.live.all();
    const ids = [...all.keys()].filter((id) => (!userId || id === userId) && (!cursor || id > cursor)).sort();
    const { items, nextCursor } = cutPage(ids.slice(0, limit + 1), limit, (last) => last);
    // Copied before the names are loaded, since connections may change meanwhile.
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
