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

/** The longest that a page may take with all its redirects, in milliseconds. */
const TIMEOUT = 3_000;
const MAX_REDIRECTS = 3;
/** Informational answers (1xx) before the one that counts. */
const MAX_INFORMATION = 5;
/** Of the addresses of a name, those of each family that are connected to if the ones before do not answer. */
const MAX_TRIED = 2;
/** Pages that are fetched at the same time and that wait, in all and of one host name. */
const FETCHES = { active: 8, activePerKey: 2, waiting: 200, waitingPerKey: 30 };
/** Requests that one address gets in a minute: nobody makes this server attack another one. */
const PER_ADDRESS = { points: 60, duration: 60 };
const REDIRECTS = [301, 302, 303, 307, 308];
const PAGE_TYPES = ['text/html', 'application/xhtml+xml'];
const USER_AGENT = 'Parley-LinkPreview/1.0';

/** What the server may connect to, and how it finds out the addresses of a name. Tests put their own in. */
export interface LinkPolicy {
  allowsAddress(address: string): boolean;
  allowsPort(port: number): boolean;
  /** All addresses of a host name. */
  resolve(host: string): Promise<string[]>;
}

/** How long a DNS server may take, in milliseconds, and how often it is asked. */
const DNS = { timeout: 1_000, tries: 2 };

/**
 * The public internet on the ports of the web. Names are resolved by DNS queries of this process: `dns.lookup` would
 * hold threads of libuv's pool, which read and write files, for as long as a DNS server of the link's owner likes.
 */
export function publicWeb(resolver = new Resolver(DNS)): LinkPolicy {
  return {
    allowsAddress: isPublicAddress,
    allowsPort: (port) => port === 80 || port === 443,
    resolve: async (host) => {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
      const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (addresses.length === 0) throw new LinkError('its name has no address');
      return addresses;
    },
  };
}

/** A web page as it came. */
export interface WebPage {
  /** Where it was in the end. */
  url: string;
  html: string;
}

/** Why a page was not fetched. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
}

/**
 * Fetches web pages whose addresses anybody may choose. A name is resolved once, all of its addresses have to be
 * allowed, and the connection goes to one of those: an answer that changes in between is never asked for. The
 * same holds for every redirect. What one page, one host and all together may cost is bounded.
 */
export class LinkFetcher {
  private readonly queue = new FairQueue(FETCHES);
  private readonly requests = new RateLimiterMemory(PER_ADDRESS);

  constructor(private readonly policy: LinkPolicy) {}

  /**
   * @throws LinkError, the error of the network, or AppError rate_limited or unavailable when too much is fetched
   *   from this host or in all
   */
  fetch(link: string): Promise<WebPage> {
    const url = parseWebAddress(link);
    if (!url) return Promise.reject(new LinkError('it is no address'));
    return this.queue.run(url.hostname, () => this.follow(url));
  }

  private async follow(url: URL): Promise<WebPage> {
    const signal = AbortSignal.timeout(TIMEOUT);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.get(url, signal);
      try {
        const { statusCode = 0, headers } = response;
        if (!REDIRECTS.includes(statusCode)) return { url: url.href, html: await readPage(response) };
        const target = parseWebAddress(headers.location ?? '', url.href);
        if (!target) throw new LinkError('it redirects to nowhere');
        url = target;
      } finally {
        response.destroy();
      }
    }
    throw new LinkError('it redirects too often');
  }

  private async get(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
    const isHttps = url.protocol === 'https:';
    if (!isHttps && url.protocol !== 'http:') throw new LinkError(`it is ${url.protocol}`);
    if (url.username || url.password) throw new LinkError('it has a password');
    const port = Number(url.port || (isHttps ? 443 : 80));
    if (!this.policy.allowsPort(port)) throw new LinkError(`port ${port} is not allowed`);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const addresses = await this.addressesOf(host, signal);
    const options: RequestOptions = {
      host,
      port,
      path: url.pathname + url.search,
      lookup: pinned(addresses),
      // A connection of its own, which nobody uses afterwards.
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
      let informed = 0;
      request.on('information', () => {
        if (++informed > MAX_INFORMATION) request.destroy(new LinkError('it does not come to its answer'));
      });
      // Not once: a connection may fail again after the answer has begun.
      request.on('error', reject);
      request.end();
    });
  }

  /** The addresses to connect to, at least one. Of an address in numbers, URL has made the usual form of it. */
  private async addressesOf(host: string, signal: AbortSignal): Promise<string[]> {
    const addresses = isIP(host) ? [host] : await before(signal, this.policy.resolve(host));
    if (addresses.length === 0) throw new LinkError('its name has no address');
    const refused = addresses.find((address) => !this.policy.allowsAddress(address));
    if (refused !== undefined) throw new LinkError(`${refused} is not allowed`);
    const tried = [4, 6].flatMap((family) =>
      addresses.filter((address) => isIP(address) === family).slice(0, MAX_TRIED),
    );
    for (const network of new Set(tried.map(networkOf))) await this.count(network);
    return tried;
  }

  private async count(network: string): Promise<void> {
    await this.requests.consume(network).catch(() => {
      throw new AppError('rate_limited', 'Too many pages are fetched from this address.');
    });
  }
}

/**
 * Answers every question for an address with those that were checked. Node tries them one after the other, so a
 * machine with IPv6 alone reaches a page that has both.
 */
function pinned(addresses: string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, callback) => {
    if (options.all) callback(null, all);
    else callback(null, all[0]!.address, all[0]!.family);
  };
}

function before<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  return Promise.race([
    work,
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new LinkError('it takes too long')), { once: true });
    }),
  ]);
}

async function readPage(response: IncomingMessage): Promise<string> {
  const { statusCode, headers } = response;
  if (statusCode !== 200) throw new LinkError(`it answers ${statusCode}`);
  const [type = ''] = (headers['content-type'] ?? '').toLowerCase().split(';');
  if (!PAGE_TYPES.includes(type.trim())) throw new LinkError('it is no page');
  const encoding = headers['content-encoding'] ?? 'identity';
  if (!isKnownEncoding(encoding)) throw new LinkError(`it is packed by ${encoding}`);
  return readBody(response);
}
