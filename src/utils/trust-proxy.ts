import type { IncomingMessage } from 'node:http';
import proxyAddress from 'proxy-addr';

/** Whether to trust the proxy at an address, a number of hops away from the server. */
export type TrustProxy = (address: string, hop: number) => boolean;

/**
 * Returns which proxies to trust about the address of a client.
 * @param setting true or false for all or none, a number of hops, or addresses and subnets with commas between.
 */
export function trustProxy(setting: boolean | number | string): TrustProxy {
  if (typeof setting === 'boolean') return () => setting;
  if (typeof setting === 'number') return (_address, hop) => hop < setting;
  return proxyAddress.compile(setting.split(',').map((each) => each.trim()));
}

/** Returns the address of the client of a request. */
export function clientAddress(request: IncomingMessage, trust: TrustProxy): string {
  return proxyAddress(request, trust);
}
