import type { Audience } from './event-bus';

/** What knows the open connections of clients, and what each of them hears. */
export interface Connections {
  /**
   * For each of the audiences, how many people of it are connected. The cost depends on who is connected, not on
   * how many belong to an audience.
   */
  countPeople(audiences: readonly Audience[]): number[];
}

/** Who is connected to this server. The layer that holds the connections attaches them. */
export class PresenceService {
  private connections: Connections | undefined;

  /** @returns a function that takes them away again. */
  attach(connections: Connections): () => void {
    this.connections = connections;
    return () => {
      if (this.connections === connections) this.connections = undefined;
    };
  }

  /** For each of the audiences, in their order, how many people of it are connected. */
  countOnline(audiences: readonly Audience[]): number[] {
    return this.connections?.countPeople(audiences) ?? audiences.map(() => 0);
  }
}
