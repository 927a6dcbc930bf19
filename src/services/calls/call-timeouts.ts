import type { Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { VideoCallDocument } from '../../models/video-call.model';
import type { BackgroundJob } from '../kernel/background-job';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';
import type { NodeRegistry } from '../kernel/node-registry';
import type { CallConnections } from './call-connections';
import type { CallRights } from './call-rights';
import type { CallStore } from './call-store';
import { forEach } from './for-each';

/** How often calls are looked for whose time-out is due: another node may have set one. */
const TIMEOUT_INTERVAL_MS = 5000;
/** How often connections are looked for that are lost although no node has reported it: their node may have died. */
const CONNECTIONS_INTERVAL_MS = 5000;
/** How often the rights of all who are in calls are decided again: a node may have died before it did. */
const RECHECK_INTERVAL_MS = 60_000;
/** The number of calls that are read at a time. */
const BATCH_SIZE = 100;

/** The dependencies of CallTimeouts. */
export interface CallTimeoutsDeps {
  collections: Collections;
  store: CallStore;
  connections: CallConnections;
  rights: CallRights;
  nodes: NodeRegistry;
  jobs: Jobs;
  bus: EventBus;
}

/**
 * Ends what must not last: ringing, lost connections, calls with a single person, connections of nodes that have
 * stopped. What is due is in the database, so nothing depends on the node that set it.
 */
export class CallTimeouts {
  private readonly timeouts: BackgroundJob;

  constructor(private readonly deps: CallTimeoutsDeps) {
    this.timeouts = deps.jobs.add({
      name: 'call_timeouts',
      intervalMs: TIMEOUT_INTERVAL_MS,
      scope: 'node',
      run: (signal) => this.applyDue(signal),
    });
    deps.jobs.add({
      name: 'call_connections',
      intervalMs: CONNECTIONS_INTERVAL_MS,
      scope: 'node',
      run: (signal) => this.releaseLostConnections(signal),
    });
    deps.jobs.add({
      name: 'call_rights',
      intervalMs: RECHECK_INTERVAL_MS,
      scope: 'cluster',
      run: (signal) =>
        this.forEachBatch({ open: true }, signal, async (batch) => {
          await forEach(batch, (call) => deps.rights.recheck(call));
        }),
    });
    deps.bus.subscribe((event) => this.wake(event), 'publisher');
  }

  private wake(event: DomainEvent): void {
    if (event.type === 'call.changed' && event.call.dueAt) this.timeouts.wake(event.call.dueAt);
  }

  /** @returns when the next time-out is due. */
  private async applyDue(signal: AbortSignal): Promise<Date | undefined> {
    const { store, collections } = this.deps;
    await this.forEachBatch({ dueAt: { $lte: store.now } }, signal, async (batch) => {
      await forEach(batch, ({ _id }) => store.apply(_id, { type: 'time' }));
    });
    const next = await collections.videoCalls.findOne(
      { dueAt: { $exists: true } },
      { sort: { dueAt: 1 }, projection: { dueAt: 1 } },
    );
    return next?.dueAt;
  }

  private async releaseLostConnections(signal: AbortSignal): Promise<void> {
    const { nodes, store, connections } = this.deps;
    await this.forEachBatch({ open: true, inCall: { $exists: true } }, signal, async (batch) => {
      // Read after the calls: a node is alive before it holds a connection.
      const alive = await nodes.alive();
      await forEach(batch, async (call) => {
        const used = call.participants.flatMap(({ connection }) => connection?.nodeId ?? []);
        const nodeIds = new Set(used.filter((id) => !alive.has(id)));
        if (nodeIds.size > 0) await store.apply(call._id, { type: 'lose_nodes', nodeIds });
        if (used.includes(nodes.id)) await connections.releaseLost(call);
      });
    });
  }

  /** Runs work on calls in batches, in the order of their ids. A call that fails does not prevent the others. */
  private async forEachBatch(
    filter: Filter<VideoCallDocument>,
    signal: AbortSignal,
    work: (batch: VideoCallDocument[]) => Promise<void>,
  ): Promise<void> {
    const failures: unknown[] = [];
    for (let after: VideoCallDocument | undefined; !signal.aborted;) {
      const batch = await this.deps.collections.videoCalls
        .find({ ...filter, ...(after && { _id: { $gt: after._id } }) })
        .sort({ _id: 1 })
        .limit(BATCH_SIZE)
        .toArray();
      if (batch.length > 0) await work(batch).catch((error: unknown) => failures.push(error));
      if (batch.length < BATCH_SIZE) break;
      after = batch.at(-1);
    }
    if (failures.length > 0) throw failures[0];
  }
}
