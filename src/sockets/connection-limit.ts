/** Limits the number of open connections, in total and per network. */
export class ConnectionLimit {
  private readonly byNetwork = new Map<string, number>();
  private total = 0;

  constructor(private readonly limits: { total: number; perNetwork: number }) {}

  /**
   * Reserves a slot for a connection.
   * @returns a function that releases it, to be called once; `full` or `network_full` if no slot is free.
   */
  acquire(network: string): (() => void) | 'full' | 'network_full' {
    const own = this.byNetwork.get(network) ?? 0;
    if (own >= this.limits.perNetwork) return 'network_full';
    if (this.total >= this.limits.total) return 'full';
    this.total++;
    this.byNetwork.set(network, own + 1);
    return () => {
      this.total--;
      const left = (this.byNetwork.get(network) ?? 1) - 1;
      if (left > 0) this.byNetwork.set(network, left);
      else this.byNetwork.delete(network);
    };
  }
}
