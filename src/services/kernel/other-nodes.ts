/** How long a node may be silent before it is asked whether it is still alive. Nodes send at least a heartbeat. */
const SILENCE_MS = 10_000;
/** Nodes that have left are remembered, to detect what they have sent meanwhile; the longest silent ones are forgotten. */
const MAX_NODES = 1000;

interface OtherNode {
  /** The number of its last batch. */
  lastNumber: number;
  /** By the clock given to `OtherNodes`. */
  heardAt: number;
  present: boolean;
}

/** What a batch says about its sender. */
export interface Arrival {
  /** `missed`: earlier batches have not arrived. `repeated`: it has arrived before. */
  order: 'next' | 'missed' | 'repeated';
  /** Whether the sender was not present before. */
  isNew: boolean;
}

/** Knows the other nodes by the batches and heartbeats that arrive from them. */
export class OtherNodes {
  private readonly nodes = new Map<string, OtherNode>();

  /** @param now a monotonic clock, in milliseconds */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The ids of the nodes that are present. */
  get present(): string[] {
    return [...this.nodes].filter(([, { present }]) => present).map(([id]) => id);
  }

  /** Records a batch. @param hasEvents a batch without events repeats the number of the last one. */
  record(from: string, number: number, hasEvents: boolean): Arrival {
    const known = this.nodes.get(from);
    const node = known ?? { lastNumber: hasEvents ? number - 1 : number, heardAt: 0, present: false };
    const expected = node.lastNumber + (hasEvents ? 1 : 0);
    const isNew = !node.present;
    this.nodes.delete(from);
    this.nodes.set(from, node);
    node.heardAt = this.now();
    node.present = true;
    if (this.nodes.size > MAX_NODES) this.nodes.delete(this.nodes.keys().next().value!);
    if (number < expected) return { order: 'repeated', isNew };
    node.lastNumber = number;
    return { order: number === expected ? 'next' : 'missed', isNew };
  }

  /** Records that a node is gone. @returns whether it was present. */
  remove(id: string): boolean {
    const node = this.nodes.get(id);
    const wasPresent = node?.present ?? false;
    if (node) node.present = false;
    return wasPresent;
  }

  /** The present nodes that have been silent for too long. */
  silent(): string[] {
    const limit = this.now() - SILENCE_MS;
    return this.present.filter((id) => this.nodes.get(id)!.heardAt < limit);
  }
}
