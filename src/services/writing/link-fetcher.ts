import { Resolver } from 'node:dns/promises';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { AppError } from '../../utils/errors';
import { FairQueue } from '../kernel/fair-queue';
import { networkOf } from '../../utils/network';
import { isPublicAddress } from '../../utils/public-address';
import { parseWebAddress } from '../../utils/web-address';
import { isKnownEncoding, readBody } from './page-body';

/** The time limit for a page with all its redirects. */
const TIMEOUT_MS = 3_000;
const MAX_REDIRECTS = 3;
/** The maximum number of informational responses (1xx) before the final one. */
const MAX_INFORMATIONAL = 5;
/** The number of addresses of a name, per address family, that are tried in order. */
const MAX_ADDRESSES = 2;
/** How many fetches run at the same time and wait, in all and per host name. */
const QUEUE_LIMITS = { active: 8, activePerKey: 2, waiting: 200, waitingPerKey: 30 };
/** Requests per minute to one address, so that nobody can use this server to attack another one. */
const ADDRESS_LIMIT = { points: 60, duration: 60 };
const REDIRECT_STATUSES = [301, 302, 303, 307, 308];
const PAGE_TYPES = ['text/html', 'application/xhtml+xml'];
const USER_AGENT = 'Parley-LinkPreview/1.0';

/** Which addresses and ports the server may connect to, and how it resolves names. Tests use their own. */
export interface LinkPolicy {
  allowsAddress(address: string): boolean;
  allowsPort(port: number): boolean;
  /** Returns all addresses of a host name. */
  resolve(host: string): Promise<string[]>;
  /** How long a page may take with its redirects, in milliseconds; 3 seconds by default. */
  timeoutMs?: number;
}

/** The timeout of a DNS query, in milliseconds, and the number of attempts. */
const DNS_OPTIONS = { timeout: 1_000, tries: 2 };

/**
 * Allows the public internet, on the ports 80 and 443. Names are resolved by DNS queries of this process: `dns.lookup`
 * would occupy threads of libuv's pool, which also serves file I/O, for as long as a slow or hostile DNS server takes.
 */
export function publicWeb(resolver = new Resolver(DNS_OPTIONS)): LinkPolicy {
  return {
    allowsAddress: isPublicAddress,
    allowsPort: (port) => port === 80 || port === 443,
    resolve: async (host) => {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
      const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (addresses.length === 0) throw new LinkError('its host name has no address');
      return addresses;
    },
  };
}

/** A fetched web page. */
export interface WebPage {
  /** Its address after all redirects. */
  url: string;
  html: string;
}

/** A page cannot be fetched; the message says why. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
}

/**
 * Fetches web pages from untrusted addresses. A name is resolved once, all of its addresses must be allowed, and the
 * connection goes to one of these, so a DNS answer that changes in between (DNS rebinding) has no effect. The same
 * applies to every redirect. Size, time and number of fetches are limited, per page, per host and in all.
 */
export class LinkFetcher {
  readonly queue = new FairQueue(QUEUE_LIMITS);
  private readonly requests = new RateLimiterMemory(ADDRESS_LIMIT);

  constructor(private readonly policy: LinkPolicy) {}

  /**
   * @throws LinkError, an error of the network, or AppError rate_limited or unavailable if too many pages are fetched
   *   from this host or in all
   */
  fetch(link: string): Promise<WebPage> {
    const url = parseWebAddress(link);
    if (!url) return Promise.reject(new LinkError('it is not a valid address'));
    return this.queue.run(url.hostname, () => this.follow(url));
  }

  private async follow(url: URL): Promise<WebPage> {
    const signal = AbortSignal.timeout(this.policy.timeoutMs ?? TIMEOUT_MS);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.get(url, signal);
      try {
        const { statusCode = 0, headers } = response;
        if (!REDIRECT_STATUSES.includes(statusCode)) return { url: url.href, html: await readPage(response) };
        const target = parseWebAddress(headers.location ?? '', url.href);
        if (!target) throw new LinkError('it redirects to an invalid address');
        url = target;
      } finally {
        response.destroy();
      }
    }
    throw new LinkError('it redirects too many times');
  }

  private async get(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
    const isHttps = url.protocol === 'https:';
    if (!isHttps && url.protocol !== 'http:')
      throw new LinkError(`the scheme ${url.protocol} is not allowed`);
    if (url.username || url.password) throw new LinkError('it contains a username or password');
    const port = Number(url.port || (isHttps ? 443 : 80));
    if (!this.policy.allowsPort(port)) throw new LinkError(`port ${port} is not allowed`);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const addresses = await this.addressesOf(host, signal);
    const options: RequestOptions = {
      host,
      port,
      path: url.pathname + url.search,
      lookup: pinned(addresses),
      // A separate connection, which is not reused.
      agent: false,
      signal,
      headers: {
        host: url.host,
        'user-agent': USER_AGENT,
        accept: PAGE_TYPES.join(', '),
        'accept-encoding': 'gzip, deflate, br',
      },
    };
    return new Promise((resolve, reject) => {
      const request = (isHttps ? requestHttps : requestHttp)(options, resolve);
      let informational = 0;
      request.on('information', () => {
        if (++informational > MAX_INFORMATIONAL)
          request.destroy(new LinkError('it sends too many informational responses'));
      });
      // `on`, not `once`: a connection may fail again after the response has begun.
      request.on('error', reject);
      request.end();
    });
  }

  /** Returns the addresses to connect to, at least one. URL has already normalised numeric addresses. */
  private async addressesOf(host: string, signal: AbortSignal): Promise<string[]> {
    const addresses = isIP(host) ? [host] : await withAbort(signal, this.policy.resolve(host));
    if (addresses.length === 0) throw new LinkError('its host name has no address');
    const refused = addresses.find((address) => !this.policy.allowsAddress(address));
    if (refused !== undefined) throw new LinkError(`${refused} is not allowed`);
    const tried = [4, 6].flatMap((family) =>
      addresses.filter((address) => isIP(address) === family).slice(0, MAX_ADDRESSES),
    );
    for (const network of new Set(tried.map(networkOf))) await this.limit(network);
    return tried;
  }

  private async limit(network: string): Promise<void> {
    await this.requests.consume(network).catch(() => {
      throw new AppError('rate_limited', 'Too many pages are fetched from this address.');
    });
  }
}

/**
 * Returns a lookup function that always returns the checked addresses. Node tries them in turn, so a machine with IPv6
 * only reaches a page that has both.
 */
function pinned(addresses: string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, callback) => {
    if (options.all) callback(null, all);
    else callback(null, all[0]!.address, all[0]!.family);
  };
}

function withAbort<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  return Promise.race([
    work,
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new LinkError('it has timed out')), { once: true });
    }),
  ]);
}

async function readPage(response: IncomingMessage): Promise<string> {
  const { statusCode, headers } = response;
  if (statusCode !== 200) throw new LinkError(`its status is ${statusCode}`);
  const [type = ''] = (headers['content-type'] ?? '').toLowerCase().split(';');
  if (!PAGE_TYPES.includes(type.trim())) throw new LinkError('it is not an HTML page');
  const encoding = headers['content-encoding'] ?? 'identity';
  if (!isKnownEncoding(encoding)) throw new LinkError(`its content encoding ${encoding} is not supported`);
  return readBody(response);
}
