import type { PresenceStatus } from '../../models/presence/presence.model';

/** From the least to the most present. Do not disturb is a setting of the user, so all their nodes report it. */
const ORDER: readonly PresenceStatus[] = ['offline', 'away', 'online', 'do_not_disturb'];

/** Returns the status of a user who has both statuses, on different nodes. */
export function combine(one: PresenceStatus, other: PresenceStatus): PresenceStatus {
  return ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other;
}

interface Report {
  status: PresenceStatus;
  /** Whether the snapshot that is arriving has not listed the user yet. */
  stale: boolean;
}

/** The statuses of users on other nodes, as these have reported them. Users who are offline there have no entry. */
export class RemotePresence {
  /** By node and by user. */
  private readonly nodes = new Map<string, Map<string, Report>>();
  /** The nodes on which each user is present. */
  private readonly nodesOf = new Map<string, Set<string>>();

  /** The most present status of a user on the other nodes. */
  statusOf(userId: string): PresenceStatus {
    let status: PresenceStatus = 'offline';
    for (const nodeId of this.nodesOf.get(userId) ?? []) {
      status = combine(status, this.nodes.get(nodeId)?.get(userId)?.status ?? 'offline');
    }
    return status;
  }

  has(userId: string): boolean {
    return this.nodesOf.has(userId);
  }

  set(nodeId: string, userId: string, status: PresenceStatus): void {
    if (status === 'offline') return this.remove(nodeId, userId);
    const users = this.nodes.get(nodeId) ?? new Map<string, Report>();
    this.nodes.set(nodeId, users.set(userId, { status, stale: false }));
    this.nodesOf.set(userId, (this.nodesOf.get(userId) ?? new Set<string>()).add(nodeId));
  }

  /** Records that a node lists all its users from now on. */
  beginSnapshot(nodeId: string): void {
    for (const report of this.nodes.get(nodeId)?.values() ?? []) report.stale = true;
  }

  /** Removes the users whom the snapshot of a node has not listed. @returns their ids. */
  endSnapshot(nodeId: string): string[] {
    const stale = [...(this.nodes.get(nodeId) ?? [])].filter(([, report]) => report.stale).map(([id]) => id);
    for (const userId of stale) this.remove(nodeId, userId);
    return stale;
  }

  /** Removes a node. @returns the ids of its users. */
  removeNode(nodeId: string): string[] {
    this.beginSnapshot(nodeId);
    return this.endSnapshot(nodeId);
  }

  private remove(nodeId: string, userId: string): void {
    const users = this.nodes.get(nodeId);
    users?.delete(userId);
    if (users?.size === 0) this.nodes.delete(nodeId);
    const nodes = this.nodesOf.get(userId);
    nodes?.delete(nodeId);
    if (nodes?.size === 0) this.nodesOf.delete(userId);
  }
}
