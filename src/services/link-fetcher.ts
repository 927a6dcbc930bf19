import { Resolver } from 'node:dns/promises';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { isPublicAddress } from '../utils/public-address';

/** The longest that a page may take with all its redirects, in milliseconds. */
const TIMEOUT = 3_000;
/** What is read of a page at most, in bytes, as it comes over the network and as it is unpacked. */
const MAX_BYTES = 1024 * 1024;
const MAX_REDIRECTS = 3;
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
 * same holds for every redirect.
 */
export class LinkFetcher {
  constructor(private readonly policy: LinkPolicy) {}

  /** @throws LinkError, or the error of the network */
  async fetch(link: string): Promise<WebPage> {
    const signal = AbortSignal.timeout(TIMEOUT);
    let url = new URL(link);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.get(url, signal);
      try {
        const { statusCode = 0, headers } = response;
        if (!REDIRECTS.includes(statusCode)) return { url: url.href, html: await readPage(response) };
        const target = headers.location ?? '';
        if (!URL.canParse(target, url.href)) throw new LinkError('it redirects to nowhere');
        url = new URL(target, url);
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
      request.once('error', reject);
      request.end();
    });
  }

  /** The addresses to connect to, at least one. Of an address in numbers, URL has made the usual form of it. */
  private async addressesOf(host: string, signal: AbortSignal): Promise<string[]> {
    const addresses = isIP(host) ? [host] : await before(signal, this.policy.resolve(host));
    if (addresses.length === 0) throw new LinkError('its name has no address');
    const refused = addresses.find((address) => !this.policy.allowsAddress(address));
    if (refused !== undefined) throw new LinkError(`${refused} is not allowed`);
    return addresses;
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
  const bytes = await readBytes(response, unpacked(response, headers['content-encoding']));
  return decode(bytes, headers['content-type'] ?? '');
}

function unpacked(response: IncomingMessage, encoding = 'identity'): Readable {
  const how = encoding.trim().toLowerCase();
  if (how === 'identity') return response;
  if (how === 'gzip' || how === 'x-gzip') return response.pipe(createGunzip());
  if (how === 'deflate') return response.pipe(createInflate());
  if (how === 'br') return response.pipe(createBrotliDecompress());
  throw new LinkError(`it is packed by ${how}`);
}

/** Reads to the end or to MAX_BYTES, on either side of the unpacking. */
async function readBytes(response: IncomingMessage, content: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  let received = 0;
  if (content !== response) {
    response.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > MAX_BYTES) content.destroy(new LinkError('it is too large'));
    });
    // An error of the connection does not go through a pipe by itself.
    response.once('error', (error) => content.destroy(error));
  }
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, MAX_BYTES - length);
      chunks.push(part);
      length += part.length;
      if (length === MAX_BYTES) break;
    }
  } finally {
    content.destroy();
  }
  return Buffer.concat(chunks);
}

function decode(bytes: Buffer, contentType: string): string {
  const inHeader = /charset=["']?([\w-]+)/i.exec(contentType)?.[1];
  const inPage = /<meta[^>]+charset=["']?([\w-]+)/i.exec(bytes.toString('latin1', 0, 4096))?.[1];
  try {
    return new TextDecoder(inHeader ?? inPage ?? 'utf-8').decode(bytes);
  } catch {
    // An encoding that nobody knows.
    return new TextDecoder().decode(bytes);
  }
}
