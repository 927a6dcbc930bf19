import { randomUUID } from 'node:crypto';
import type { Collections } from '../../db/collections';
import { DatabaseTooNewError } from '../../db/migrations/schema-state';
import type { Database } from '../../db/mongodb';
import { inTime } from '../../utils/in-time';
import type { Logger } from '../../utils/logger';
import { VERSION } from '../../utils/version';
import type { Clock } from './background-job';
import type { Part } from './lifecycle';

/** A node counts as alive for this long after it renewed its lease. */
const LEASE_MS = 10_000;
/** The interval at which a node renews its lease: a failed attempt can be repeated before the lease ends. */
export const RENEWAL_MS = 3_000;
/**
 * How long a node must have held its own lease before it considers another node dead. After an outage of the database
 * the leases of all nodes have ended, and each node renews its own within this time.
 */
const SETTLING_MS = 5_000;
/** How long the removal of the document may delay a shutdown. */
const REMOVAL_TIMEOUT_MS = 1_000;

/** The dependencies of NodeRegistry. */
export interface NodeRegistryDeps {
  collections: Pick<Collections, 'nodes'>;
  /** What version this node is of, and whether the database still allows it. */
  schema: Pick<Database, 'schemaVersion' | 'assertSupported' | 'admit'>;
  clock: Pick<Clock, 'now'>;
  logger: Pick<Logger, 'warn'>;
  /** Whether no other process can use the database. Then there is no lease, which would keep writing to the disk. */
  isOnlyNode?: boolean;
}

/**
 * Knows which nodes of the installation are alive. Each node has a document with a lease in the database, which it renews
 * while it runs and removes when it stops. A node that is killed does not renew it, so other nodes learn of its death
 * when the lease ends, by their own clocks. The clocks of the nodes must therefore agree to within a few seconds.
 *
 * A process that only constructs the registry, such as a script, writes nothing. Neither does the only node of an
 * embedded store.
 */
export class NodeRegistry implements Part {
  /** The id of this process: a UUID. */
  readonly id = randomUUID();
  private startedAt: Date | undefined;
  /** When the lease of this node ends, in milliseconds since 1970. */
  private heldUntil = -Infinity;
  /** Since when this node has held its lease without interruption. */
  private heldSince = -Infinity;
  private readonly outdatedListeners = new Set<(error: Error) => void>();

  constructor(private readonly deps: NodeRegistryDeps) {}

  /**
   * Adds this node.
   * @throws DatabaseTooNewError if a newer version has migrated the database meanwhile
   */
  async start(): Promise<void> {
    if (this.deps.isOnlyNode) return;
    this.startedAt = new Date(this.deps.clock.now());
    await this.register();
    // What a migration does if no node of this version is alive, it records before it reads the nodes again. So this node is
    // noticed there, or notices the migration here.
    await this.deps.schema.admit();
  }

  /**
   * Registers a listener for the case that a newer version has migrated the database, because this node had not renewed its
   * lease. The node must end at once.
   */
  onOutdated(listener: (error: Error) => void): void {
    this.outdatedListeners.add(listener);
  }

  /** Removes this node, so that others need not wait for the end of its lease. Failures are logged. */
  async stop(): Promise<void> {
    if (!this.startedAt) return;
    this.startedAt = undefined;
    try {
      await inTime(this.deps.collections.nodes.deleteOne({ _id: this.id }), REMOVAL_TIMEOUT_MS);
    } catch (error) {
      this.deps.logger.warn({ err: error }, 'this node could not be removed from the list of nodes');
    }
  }

  /** Renews the lease of this node, and checks that this version may still use the database. */
  async renew(): Promise<void> {
    if (!this.startedAt) return;
    const { schema, clock } = this.deps;
    // Nodes of a newer version may have considered it dead.
    const hasLapsed = clock.now() >= this.heldUntil;
    await this.register();
    try {
      await (hasLapsed ? schema.admit() : schema.assertSupported());
    } catch (error) {
      if (!(error instanceof DatabaseTooNewError)) throw error;
      for (const listener of this.outdatedListeners) listener(error);
    }
  }

  private async register(): Promise<void> {
    const { startedAt } = this;
    if (!startedAt) return;
    const now = this.deps.clock.now();
    const aliveUntil = new Date(now + LEASE_MS);
    // The document is missing if the database was restored from a backup, or the node was suspended for long.
    await this.deps.collections.nodes.updateOne(
      { _id: this.id },
      {
        $set: { aliveUntil },
        $setOnInsert: { startedAt, version: VERSION, schemaVersion: this.deps.schema.schemaVersion },
      },
      { upsert: true },
    );
    if (this.heldUntil <= now) this.heldSince = now;
    this.heldUntil = aliveUntil.getTime();
  }

  /**
   * Returns the ids of the nodes whose lease has not ended, with that of this node while it is started. A node that has
   * stopped or died never comes back under the same id. While this node has not held its own lease for SETTLING_MS, it
   * cannot tell who has died, and returns all nodes that have not stopped.
   */
  async alive(): Promise<Set<string>> {
    if (this.deps.isOnlyNode) return new Set([this.id]);
    // A node that renews its lease while the leases are being read must not be considered dead.
    const now = this.deps.clock.now();
    const canTell = now < this.heldUntil && now - this.heldSince >= SETTLING_MS;
    const nodes = await this.deps.collections.nodes.find().toArray();
    const alive = nodes.filter(({ aliveUntil }) => !canTell || aliveUntil.getTime() > now);
    const ids = new Set(alive.map(({ _id }) => _id));
    if (this.startedAt) ids.add(this.id);
    return ids;
  }
}
