/** An attack on a server. Each attack has a file in `attacks` and is listed in `attacks/index.ts`. */
export interface Attack {
  /** A description of the attack, for the table. */
  what: string;
  /** How many strikes run at the same time. */
  parallel: number;
  /**
   * Creates the accounts, channels or sites that the attack uses. It runs in the process of the attacker, before
   * measuring.
   * @param url of the server, which trusts `X-Forwarded-For`.
   * @returns a function that makes one strike. It is called again as soon as it ends; its errors are counted and
   * ignored.
   */
  prepare(url: string): Promise<(index: number) => Promise<unknown>>;
}

/** Returns an address in the range for benchmarks (RFC 2544), which only the attacker uses. */
export function attackerAddress(index: number): string {
  return `198.18.${(index >> 8) & 255}.${index & 255}`;
}
