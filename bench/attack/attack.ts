/** A way to attack a server. Each has a file in `attacks`, and its place in the list of `attacks/index.ts`. */
export interface Attack {
  /** What the attacker does, for the table. */
  what: string;
  /** How many strikes are made at the same time. */
  parallel: number;
  /**
   * Makes the accounts, channels or sites that the attack uses. It runs in the process of the attacker, before anything
   * is measured.
   * @param url of the server, which believes `X-Forwarded-For`.
   * @returns one strike. It is called again as soon as it is over; what it throws is counted and ignored.
   */
  prepare(url: string): Promise<(index: number) => Promise<unknown>>;
}

/** Any number of addresses in the range for benchmarks (RFC 2544), which nobody else of the bench uses. */
export function attackerAddress(index: number): string {
  return `198.18.${(index >> 8) & 255}.${index & 255}`;
}
