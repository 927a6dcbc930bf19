import { BlockList, isIP } from 'node:net';

/**
 * IPv4 networks that are not the public internet (IANA's registry of special-purpose addresses): private and
 * shared ones, loopback, link-local with the metadata services of clouds, tests, multicast, reserved ones.
 */
const NOT_PUBLIC_4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
];
/** The public part of IPv6. Mapped and translated IPv4 addresses are outside of it. */
const PUBLIC_6 = '2000::/3';
/** The parts of it for protocols, tunnels to IPv4 addresses (Teredo, 6to4) and documentation. */
const NOT_PUBLIC_6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const notPublic4 = blockListOf('ipv4', NOT_PUBLIC_4);
const public6 = blockListOf('ipv6', [PUBLIC_6]);
const notPublic6 = blockListOf('ipv6', NOT_PUBLIC_6);

/** Whether a text is an IP address of the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !notPublic4.check(address, 'ipv4');
  if (isIP(address) !== 6 || address.includes('%')) return false;
  return public6.check(address, 'ipv6') && !notPublic6.check(address, 'ipv6');
}

function blockListOf(family: 'ipv4' | 'ipv6', networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
