/** How many connections there may be, in all and from one network. */
export class ConnectionLimit {
  private readonly byNetwork = new Map<string, number>();
  private total = 0;

  constructor(private readonly limits: { total: number; perNetwork: number }) {}

  /**
   * Takes a place.
   * @returns a function that gives it back, to be called once; `full` or `network_full` where there is none.
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
