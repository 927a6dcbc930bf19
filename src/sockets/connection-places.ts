/** How many connections there may be, in all and from one network. */
export class ConnectionPlaces {
  private readonly byNetwork = new Map<string, number>();
  private taken = 0;

  constructor(private readonly limits: { inAll: number; perNetwork: number }) {}

  /**
   * Takes a place.
   * @returns a function that gives it back, to be called once; `full` or `network_full` where there is none.
   */
  take(network: string): (() => void) | 'full' | 'network_full' {
    const own = this.byNetwork.get(network) ?? 0;
    if (own >= this.limits.perNetwork) return 'network_full';
    if (this.taken >= this.limits.inAll) return 'full';
    this.taken++;
    this.byNetwork.set(network, own + 1);
    return () => {
      this.taken--;
      const left = (this.byNetwork.get(network) ?? 1) - 1;
      if (left > 0) this.byNetwork.set(network, left);
      else this.byNetwork.delete(network);
    };
  }
}
