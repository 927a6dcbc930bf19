import { ObjectId } from 'mongodb';
import { hostname } from 'node:os';
import type { Caller } from '../../models/identity/session.model';
import type {
  ConnectedUser,
  ConnectionsQuery,
  ErrorGroup,
  JobStatus,
  NodeJobStatus,
  NodeReport,
  NodeState,
} from '../../models/operations/diagnostics.model';
import { cutPage, type Page } from '../../utils/cursor';
import { VERSION } from '../../utils/version';
import type { Access } from '../access/access';
import type { Freshness } from '../kernel/freshness';
import type { Jobs } from '../kernel/jobs';
import type { NodeQuestions, Question } from '../kernel/node-questions';
import type { NodeRegistry } from '../kernel/node-registry';
import type { RedisConnections } from '../kernel/redis';
import type { UserService } from '../user.service';
import type { LiveConnection, LiveConnections } from './live-connections';
import type { RecentErrors } from './recent-errors';
import type { Timing, Timings } from './timings';

type ShownConnection = Omit<ConnectedUser['connections'][number], 'nodeId'>;

/** What each node answers about itself. */
const STATE: Question<null, NodeState> = { name: 'state' };
const SLOWEST: Question<{ limit: number }, { timings: Timing[] }> = { name: 'slowest' };
const ERRORS: Question<null, { errors: ErrorGroup[] }> = { name: 'errors' };
const JOBS: Question<null, { jobs: JobStatus[] }> = { name: 'jobs' };
const CONNECTIONS: Question<
  ConnectionsQuery,
  { users: { userId: string; connections: ShownConnection[] }[]; total: OnlineCount }
> = { name: 'connections' };
const ONLINE: Question<null, OnlineCount> = { name: 'online' };

/** Connected users, and their connections. */
export interface OnlineCount {
  users: number;
  connections: number;
}

/** The dependencies of DiagnosticsService. */
export interface DiagnosticsDeps {
  access: Access;
  users: UserService;
  live: Pick<LiveConnections, 'all' | 'users' | 'sockets'>;
  timings: Timings;
  errors: RecentErrors;
  jobs: Pick<Jobs, 'status'>;
  questions: Pick<NodeQuestions, 'ask' | 'answer'>;
  nodes: Pick<NodeRegistry, 'id' | 'alive'>;
  redis: Pick<RedisConnections, 'isReady'> | undefined;
  freshness: Pick<Freshness, 'isFresh'>;
}

/** Reports the state of all nodes: connections, slow operations, errors and background jobs. */
export class DiagnosticsService {
  private readonly startedAt = new Date();

  constructor(private readonly deps: DiagnosticsDeps) {
    const { questions, timings, errors, jobs, live } = deps;
    questions.answer(STATE, () => this.ownState());
    questions.answer(SLOWEST, async ({ limit }) => ({ timings: await timings.slowest(limit) }));
    questions.answer(ERRORS, () => ({ errors: errors.list() }));
    questions.answer(JOBS, () => ({ jobs: jobs.status() }));
    questions.answer(ONLINE, () => ({ users: live.users, connections: live.sockets }));
    questions.answer(CONNECTIONS, (query) => this.ownConnections(query));
  }

  /** Lists the nodes that are alive, in the order of their ids. @throws AppError forbidden */
  async nodes(caller: Caller): Promise<NodeReport[]> {
    const { access, nodes, questions } = this.deps;
    access.requireSuperAdmin(caller);
    const [alive, answers] = await Promise.all([nodes.alive(), questions.ask(STATE, null)]);
    const states = new Map(answers.map(({ nodeId, answer }) => [nodeId, answer]));
    return [...new Set([...alive, ...states.keys()])]
      .sort()
      .map((nodeId) => ({ nodeId, isThis: nodeId === nodes.id, state: states.get(nodeId) ?? null }));
  }

  /** Lists the operations with the slowest calls on each node, the slowest first. @throws AppError forbidden */
  async slowest(caller: Caller, limit: number): Promise<(Timing & { nodeId: string })[]> {
    this.deps.access.requireSuperAdmin(caller);
    const answers = await this.deps.questions.ask(SLOWEST, { limit });
    return answers
      .flatMap(({ nodeId, answer }) => answer.timings.map((timing) => ({ ...timing, nodeId })))
      .sort((one, other) => other.p95 - one.p95)
      .slice(0, limit);
  }

  /** Lists the errors since the start, grouped by equal ones, the most recent first. @throws AppError forbidden */
  async recentErrors(caller: Caller): Promise<ErrorGroup[]> {
    this.deps.access.requireSuperAdmin(caller);
    const groups = new Map<string, ErrorGroup>();
    for (const { answer } of await this.deps.questions.ask(ERRORS, null)) {
      for (const group of answer.errors) {
        const key = `${group.code} ${group.name} ${group.text}`;
        const known = groups.get(key);
        groups.set(key, known ? merge(known, group) : group);
      }
    }
    return [...groups.values()].sort((one, other) => (one.lastAt < other.lastAt ? 1 : -1));
  }

  /** Lists the status of the background jobs, by name and node. @throws AppError forbidden */
  async jobs(caller: Caller): Promise<NodeJobStatus[]> {
    this.deps.access.requireSuperAdmin(caller);
    const answers = await this.deps.questions.ask(JOBS, null);
    const order = ({ name, nodeId }: NodeJobStatus) => `${name} ${nodeId}`;
    return answers
      .flatMap(({ nodeId, answer }) => answer.jobs.map((job) => ({ ...job, nodeId })))
      .sort((one, other) => (order(one) < order(other) ? -1 : 1));
  }

  /** Counts the connected users and connections of all nodes. */
  async online(): Promise<OnlineCount> {
    const answers = await this.deps.questions.ask(ONLINE, null);
    return answers.map(({ answer }) => answer).reduce(add);
  }

  /** Lists the connected users, in the order of their ids, and their connections. @throws AppError forbidden */
  async connections(
    caller: Caller,
    query: ConnectionsQuery,
  ): Promise<Page<ConnectedUser> & { total: OnlineCount }> {
    const { access, users, questions } = this.deps;
    access.requireSuperAdmin(caller);
    const answers = await questions.ask(CONNECTIONS, query);
    const byUser = new Map<string, ConnectedUser['connections']>();
    for (const { nodeId, answer } of answers) {
      for (const { userId, connections } of answer.users) {
        const own = byUser.get(userId) ?? [];
        byUser.set(userId, [...own, ...connections.map((each) => ({ ...each, nodeId }))]);
      }
    }
    const ids = [...byUser.keys()].sort();
    const { items, nextCursor } = cutPage(ids.slice(0, query.limit + 1), query.limit, (last) => last);
    const names = await users.findByIds(items.map((id) => new ObjectId(id)));
    return {
      items: items.map((userId) => ({
        userId,
        username: names.get(userId)?.username ?? '',
        connections: byUser.get(userId) ?? [],
      })),
      nextCursor,
      total: answers.map(({ answer }) => answer.total).reduce(add),
    };
  }

  /** A page of the users who are connected to this node. */
  private ownConnections({ userId, cursor, limit }: ConnectionsQuery) {
    const { live } = this.deps;
    const all = live.all();
    const ids = [...all.keys()].filter((id) => (!userId || id === userId) && (!cursor || id > cursor)).sort();
    return {
      users: ids.slice(0, limit + 1).map((id) => ({
        userId: id,
        connections: [...(all.get(id)?.values() ?? [])].map(show),
      })),
      total: { users: live.users, connections: live.sockets },
    };
  }

  private ownState(): NodeState {
    const { live, redis, freshness } = this.deps;
    return {
      host: hostname(),
      pid: process.pid,
      version: VERSION,
      startedAt: this.startedAt.toISOString(),
      users: live.users,
      connections: live.sockets,
      redis: redis ? (redis.isReady ? 'ok' : 'failed') : null,
      fresh: freshness.isFresh,
    };
  }
}

function show({ id, sessionId, address, userAgent, since }: LiveConnection): ShownConnection {
  return { id, sessionId: sessionId.toHexString(), address, userAgent, since: since.toISOString() };
}

function add(one: OnlineCount, other: OnlineCount): OnlineCount {
  return { users: one.users + other.users, connections: one.connections + other.connections };
}

/** The same errors on two nodes. */
function merge(one: ErrorGroup, other: ErrorGroup): ErrorGroup {
  const [earlier, later] = one.lastAt < other.lastAt ? [one, other] : [other, one];
  return {
    ...later,
    count: one.count + other.count,
    firstAt: earlier.firstAt < later.firstAt ? earlier.firstAt : later.firstAt,
  };
}
