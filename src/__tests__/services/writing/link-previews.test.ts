import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { randomUUID } from 'node:crypto';
import { createContext, type Context } from '../../../context';
import { startServer, type RunningServer } from '../../../start-server';
import { LinkFetcher, publicWeb, type LinkPolicy } from '../../../services/writing/link-fetcher';
import { summarise } from '../../../services/writing/page-summary';
import { createApi, type Api } from '../../fixtures/api';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

/** The response for a path of the web site that the tests link to. */
type Page = (request: IncomingMessage, response: ServerResponse) => void;

const pages = new Map<string, Page>();
const requests: { url: string; headers: IncomingHttpHeaders; to: string | undefined }[] = [];
let site: Server;
let port: number;
/** The addresses to which the names of the tests resolve: the next answer each time, and the last one repeatedly. */
const names = new Map<string, string[][]>();
let asked: string[] = [];

const internet = publicWeb();
/** Treats two loopback addresses and the port of the web site as public; everything else is as usual. */
const policy: LinkPolicy = {
  allowsAddress: (address) => /^127\.0\.0\.[23]$/.test(address) || internet.allowsAddress(address),
  allowsPort: (wanted) => wanted === port || internet.allowsPort(wanted),
  resolve: (host) => {
    asked.push(host);
    const answers = names.get(host) ?? [];
    const answer = answers.length > 1 ? answers.shift()! : answers[0];
    return answer ? Promise.resolve(answer) : Promise.reject(new Error(`${host} has no address`));
  },
};
const fetcher = new LinkFetcher(policy);

beforeAll(async () => {
  site = createServer((request, response) => {
    const { url = '', headers, socket } = request;
    requests.push({ url, headers, to: socket.localAddress });
    const page = pages.get(url);
    if (page) page(request, response);
    else response.writeHead(404).end();
  });
  // Listens on every loopback address, so that a fetch of a refused address would succeed.
  await new Promise<void>((resolve) => site.listen(0, '0.0.0.0', resolve));
  ({ port } = site.address() as AddressInfo);
  names.set('site.example', [['127.0.0.2']]);
});
afterAll(() => {
  site.closeAllConnections();
  site.close();
});
beforeEach(() => {
  requests.length = 0;
  asked = [];
});

const at = (path: string, host = 'site.example') => `http://${host}:${port}${path}`;
const html =
  (text: string | Buffer, headers: object = {}): Page =>
  (_, response) =>
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...headers }).end(text);
const redirect =
  (location: string, status = 302): Page =>
  (_, response) =>
    response.writeHead(status, { Location: location }).end();
/** The reason why a fetch was refused. */
const refusalOf = (link: string) =>
  fetcher.fetch(link).then(
    () => 'fetched',
    (error: Error) => error.message,
  );

/** A DNS server that knows the IPv4 address of one name. */
async function startDnsServer(name: string, address: string): Promise<Socket> {
  const server = createSocket('udp4');
  server.on('message', (query, { port: from }) => {
    const end = query.indexOf(0, 12) + 5;
    const asked = query.subarray(12, end - 4).toString('latin1');
    const known = name.split('.').every((label) => asked.includes(label));
    const isIPv4 = query.readUInt16BE(end - 4) === 1;
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(known ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(known && isIPv4 ? 1 : 0, 6);
    header.writeUInt32BE(0, 8);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)]);
    const answer = [header, query.subarray(12, end), ...(known && isIPv4 ? [record] : [])];
    server.send(Buffer.concat(answer), from, '127.0.0.1');
  });
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  return server;
}

describe('fetching a page', () => {
  it('connects to the checked address with the name of the page, and identifies itself', async () => {
    pages.set('/page?a=1', html('<title>Hello</title>'));
    expect(await fetcher.fetch(at('/page?a=1'))).toEqual({
      url: at('/page?a=1'),
      html: '<title>Hello</title>',
    });
    const [request] = requests;
    expect(request!.headers).toMatchObject({ host: `site.example:${port}`, 'user-agent': /^Parley/ });
    expect(request!.to).toContain('127.0.0.2');
    expect(request!.headers.cookie).toBeUndefined();
  });

  it('refuses everything outside the public internet without connecting', async () => {
    pages.set('/', html('<title>Secret</title>'));
    names.set('private.example', [['127.0.0.1']]);
    names.set('metadata.example', [['169.254.169.254']]);
    names.set('mapped.example', [['::ffff:127.0.0.1']]);
    names.set('mixed.example', [['127.0.0.2', '127.0.0.1']]);
    names.set('localhost', [['127.0.0.1', '::1']]);
    names.set('nothing.example', [[]]);
    const hosts = [
      '127.0.0.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '127.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '0',
      '10.0.0.1',
    ];
    for (const host of [
      ...hosts,
      'private.example',
      'metadata.example',
      'mapped.example',
      'mixed.example',
      'localhost',
    ]) {
      expect([host, await refusalOf(at('/', host))]).toEqual([
        host,
        expect.stringMatching(/is not allowed$/),
      ]);
    }
    expect(await refusalOf(at('/', 'nothing.example'))).toMatch(/no address/);
    expect(await refusalOf(`http://site.example:${port + 1}/`)).toMatch(/^port/);
    expect(await refusalOf('http://site.example:22/')).toMatch(/^port 22/);
    expect(await refusalOf('ftp://site.example/')).toMatch(/scheme ftp: is not allowed/);
    expect(await refusalOf(`http://user:secret@site.example:${port}/`)).toMatch(/password/);
    expect(requests).toEqual([]);
  });

  it('resolves a name once, so that a different later answer has no effect', async () => {
    pages.set('/rebind', html('<title>Here</title>'));
    names.set('rebind.example', [['127.0.0.2'], ['127.0.0.1']]);
    expect((await fetcher.fetch(at('/rebind', 'rebind.example'))).html).toContain('Here');
    expect(asked).toEqual(['rebind.example']);
    expect(requests[0]!.to).toContain('127.0.0.2');
    // The next fetch resolves the other address, and is refused.
    expect(await refusalOf(at('/rebind', 'rebind.example'))).toMatch(/127\.0\.0\.1 is not allowed/);
  });

  it('tries the next address of a name when nobody answers at the first', async () => {
    pages.set('/next', html('<title>Next</title>'));
    const dual = new LinkFetcher({
      ...policy,
      allowsAddress: () => true,
      resolve: () => Promise.resolve(['::1', '127.0.0.2']),
    });
    expect((await dual.fetch(at('/next'))).html).toContain('Next');
  });

  it('resolves names with DNS queries of its own, which occupy no thread that files need', async () => {
    const dns = await startDnsServer('named.example', '192.0.2.7');
    try {
      const resolver = new Resolver();
      resolver.setServers([`127.0.0.1:${dns.address().port}`]);
      const web = publicWeb(resolver);
      expect(await web.resolve('named.example')).toEqual(['192.0.2.7']);
      await expect(web.resolve('unknown.example')).rejects.toThrow('its host name has no address');
    } finally {
      dns.close();
    }
  });

  it('checks every redirect, and follows at most three', async () => {
    pages.set('/end', html('<title>End</title>'));
    pages.set('/1', redirect('/end'));
    pages.set('/2', redirect(at('/1'), 301));
    pages.set('/3', redirect('2', 308));
    pages.set('/4', redirect('/3'));
    expect((await fetcher.fetch(at('/3'))).url).toBe(at('/end'));
    expect(await refusalOf(at('/4'))).toMatch(/too many times/);
    names.set('inner.example', [['127.0.0.1']]);
    const targets: [string, RegExp][] = [
      [at('/end', '127.0.0.1'), /not allowed/],
      [at('/end', 'inner.example'), /not allowed/],
      ['http://169.254.169.254/latest/meta-data/', /not allowed/],
      ['http://site.example:22/', /^port 22/],
      ['file:///etc/passwd', /scheme file: is not allowed/],
      ['http://[', /invalid address/],
    ];
    for (const [target, reason] of targets) {
      pages.set('/out', redirect(target));
      expect([target, await refusalOf(at('/out'))]).toEqual([target, expect.stringMatching(reason)]);
    }
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('decompresses %s, and stops when the result is too large', async (encoding, pack) => {
    const headers = { 'Content-Encoding': encoding };
    pages.set('/packed', html(pack(Buffer.from('<title>Packed</title>')), headers));
    expect((await fetcher.fetch(at('/packed'))).html).toBe('<title>Packed</title>');
    const bomb = pack(Buffer.concat([Buffer.from('<title>Bomb</title>'), Buffer.alloc(8 * 1024 * 1024)]));
    pages.set('/bomb', html(bomb, headers));
    const { html: text } = await fetcher.fetch(at('/bomb'));
    expect(text.length).toBe(1024 * 1024);
  });

  it('reads no more than it needs, and waits at most three seconds', async () => {
    let sent = 0;
    pages.set('/endless', (_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html' });
      const chunk = Buffer.alloc(64 * 1024, ' ');
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      };
      response.on('drain', more).on('error', () => undefined);
      more();
    });
    expect((await fetcher.fetch(at('/endless'))).html).toHaveLength(1024 * 1024);
    expect(sent).toBeLessThan(64 * 1024 * 1024);

    const start = Date.now();
    pages.set('/silent', () => undefined);
    pages.set('/drip', (_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html' }).write('<title>');
    });
    pages.set('/headers', ({ socket }) => void socket.write('HTTP/1.1 200 OK\r\nX-Slow: '));
    names.set('slow.example', [['127.0.0.2']]);
    names.set('endless.example', [['127.0.0.2']]);
    const slow = new LinkFetcher({ ...policy, resolve: () => new Promise(() => undefined) });
    const failed = await Promise.allSettled([
      fetcher.fetch(at('/silent')),
      fetcher.fetch(at('/drip')),
      fetcher.fetch(at('/headers', 'endless.example')),
      slow.fetch(at('/', 'slow.example')),
    ]);
    expect(failed.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    expect(Date.now() - start).toBeGreaterThan(2_900);
    expect(Date.now() - start).toBeLessThan(8_000);
  });

  /** Writes on a connection until the client disconnects. @returns the number of writes */
  const flood = ({ socket }: IncomingMessage, start: string, unit: string): (() => number) => {
    let count = 0;
    const more = () => {
      while (!socket.destroyed && socket.write(unit)) count++;
    };
    socket.on('drain', more).on('error', () => undefined);
    socket.write(start);
    more();
    return () => count;
  };

  it('aborts answers that never reach the page, and bodies in countless parts', async () => {
    // Other limits end these, however busy the machine is.
    const patient = new LinkFetcher({ ...policy, timeoutMs: 60_000 });
    const refusalOf = (link: string) =>
      patient.fetch(link).then(
        () => 'none',
        ({ message }) => message,
      );
    pages.set('/hints', (request) => void flood(request, '', 'HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n'));
    expect(await refusalOf(at('/hints'))).toBe('it sends too many informational responses');
    pages.set('/wide', (request) => void flood(request, 'HTTP/1.1 200 OK\r\n', `A: ${'b'.repeat(1000)}\r\n`));
    expect(await refusalOf(at('/wide'))).toMatch(/header/i);
    let parts = () => 0;
    pages.set('/parts', (request) => {
      const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n';
      parts = flood(request, head, '1\r\nx\r\n'.repeat(1000));
    });
    const { html: text } = await patient.fetch(at('/parts'));
    expect(text.length).toBeLessThan(1024 * 1024);
    expect(parts()).toBeLessThan(10_000);
  });

  it('fetches a few pages of one host at a time, and other hosts in parallel', async () => {
    const waiting: ServerResponse[] = [];
    let both!: () => void;
    const asked = new Promise<void>((resolve) => (both = resolve));
    pages.set('/busy', (_, response) => {
      if (waiting.push(response) === 2) both();
    });
    pages.set('/quick', html('<title>Quick</title>'));
    names.set('other.example', [['127.0.0.2']]);
    const all = Array.from({ length: 5 }, () => fetcher.fetch(at('/busy')));
    await asked;
    expect((await fetcher.fetch(at('/quick', 'other.example'))).html).toContain('Quick');
    expect(waiting).toHaveLength(2);
    pages.set('/busy', html('<title>Busy</title>'));
    for (const response of waiting) html('<title>Busy</title>')({} as IncomingMessage, response);
    expect(await Promise.all(all)).toHaveLength(5);
  });

  it('limits the requests to one address per minute, under whatever names', async () => {
    pages.set('/often', html('<title>Often</title>'));
    const eager = new LinkFetcher({ ...policy, resolve: () => Promise.resolve(['127.0.0.2']) });
    for (let index = 0; index < 60; index++) await eager.fetch(at('/often', `n${index}.example`));
    expect(requests).toHaveLength(60);
    await expect(eager.fetch(at('/often', 'another.example'))).rejects.toMatchObject({
      code: 'rate_limited',
    });
    expect(requests).toHaveLength(60);
  });

  it('accepts only HTML pages', async () => {
    const types = ['application/json', 'image/svg+xml', 'text/plain', 'application/octet-stream', ''];
    for (const type of types) {
      pages.set('/type', html('<title>x</title>', { 'Content-Type': type }));
      expect(await refusalOf(at('/type'))).toBe('it is not an HTML page');
    }
    pages.set('/odd', html('x', { 'Content-Encoding': 'zstd' }));
    expect(await refusalOf(at('/odd'))).toMatch(/encoding zstd is not supported/);
    expect(await refusalOf(at('/missing'))).toBe('its status is 404');
    pages.set(
      '/latin',
      html(Buffer.from('<title>Caf\xe9</title>', 'latin1'), {
        'Content-Type': 'text/html; charset=iso-8859-1',
      }),
    );
    expect((await fetcher.fetch(at('/latin'))).html).toContain('Café');
  });
});

describe('the summary of a page', () => {
  const page = (text: string) => summarise('http://a.example/', { url: 'http://a.example/', html: text });

  it('is read from its head, without what follows', async () => {
    const preview = await page(
      '<HEAD><TITLE>Fish &amp; chips</TITLE><meta name="Description" content=one><meta name=description content=two>' +
        '<meta content="/a.png" property="og:image"/></HEAD><meta property="og:title" content="No">',
    );
    expect(preview).toEqual({
      url: 'http://a.example/',
      title: 'Fish & chips',
      description: 'one',
      imageUrl: 'http://a.example/a.png',
      siteName: 'a.example',
    });
    expect(
      (await page('<title>a</title><body><title>b</title><meta property=og:title content=c>'))?.title,
    ).toBe('a');
    expect((await page('<p><a><title>In a title: <b></title><title>c</title>'))?.title).toBe(
      'In a title: <b>',
    );
    expect(await page('<!-- <title>a</title> --><script>"<title>b</title>"</script>')).toBeNull();
  });

  it('stops at the tag after the five thousandth', async () => {
    expect((await page(`${'<a>'.repeat(4_999)}<title>x</title>`))?.title).toBe('x');
    expect(await page(`${'<a>'.repeat(5_000)}<title>x</title>`)).toBeNull();
  });

  it('does not block others for a page of highly compressed tags', async () => {
    const tags = gzipSync(`<title>x</title>${'<a>'.repeat(349_000)}`);
    expect(tags.length).toBeLessThan(4096);
    pages.set('/tags', html(tags, { 'Content-Encoding': 'gzip' }));
    const { html: text } = await fetcher.fetch(at('/tags'));
    expect(text.length).toBeGreaterThan(1_000_000);
    // The time is a small multiple of that for reading each character.
    const time = async (work: () => unknown) => {
      const start = process.cpuUsage();
      await work();
      const { user, system } = process.cpuUsage(start);
      return user + system;
    };
    const look = () => text.split('').map((character) => character.charCodeAt(0));
    expect(await time(() => page(text))).toBeLessThan(20 * Math.max(await time(look), 1000));
    let turns = 0;
    const turn = () => {
      turns++;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    // A page without tags is read to its end, while other work runs in between.
    await page(`<title>x</title>${' '.repeat(1_000_000)}`);
    clearImmediate(next);
    expect(turns).toBeGreaterThan(10);
  });
});

describe('a message with links', () => {
  let base: TestServer;
  let context: Context;
  let running: RunningServer;
  let api: Api;
  let ada: Person;
  let channelId: string;
  let reader: Client;

  beforeAll(async () => {
    base = await startTestServer();
    const { config, database } = base.context;
    context = await createContext(
      { ...config, linkPreviews: { enabled: true } },
      { database, linkPolicy: policy },
    );
    running = await startServer(context);
    api = await createApi(running.url);
    ada = await signUp(api, 'ada');
    ({ channelId } = await createRoom(api, ada));
    reader = await connect(running.url, ada.token);
  });
  afterAll(async () => {
    reader.close();
    await running.close();
    await context.close();
    await base.close();
  });

  const send = async (body: string): Promise<any> => {
    const path = `/api/channels/${channelId}/messages`;
    const answer = await api.post(path, { clientMessageId: randomUUID(), body }, ada.token);
    expect(answer.status).toBe(201);
    return answer.body.message;
  };
  const stored = async ({ id }: { id: string }) => {
    const { body } = await api.get(`/api/channels/${channelId}/messages`, ada.token);
    return body.messages.find((message: any) => message.id === id);
  };
  const updated = async ({ id, revision }: { id: string; revision: number }, previews: number) =>
    (
      await reader.waitForMessage(
        ({ event, message }) =>
          event === 'message:updated' &&
          message.id === id &&
          message.revision > revision &&
          message.linkPreviews.length === previews,
      )
    ).message;

  it('gets sanitised previews of the pages, under a revision of the channel', async () => {
    pages.set(
      '/article',
      html(`<!doctype html><head><title>Ignored</title>
        <meta property="og:title" content="Bread &amp; &lt;b&gt;salt&lt;/b&gt;">
        <meta name=description content='An
        article &#x202e;about bread'>
        <meta property="og:image" content="/bread.jpg">
        <meta property="og:site_name" content="The Bakery"></head>
        <script>document.write('<meta property="og:title" content="No">')</script>`),
    );
    pages.set(
      '/script',
      html(
        '<meta property="og:image" content="javascript:alert(1)"><title><script>alert(1)</script></title>',
      ),
    );
    pages.set('/empty', html('<p>Nothing</p>'));
    const sent = await send(`${at('/article')} and ${at('/script')}, ${at('/empty')} ${at('/missing')}`);
    expect(sent.linkPreviews).toEqual([]);
    const message = await updated(sent, 2);
    expect(message.linkPreviews).toEqual([
      {
        url: at('/article'),
        title: 'Bread & <b>salt</b>',
        description: 'An article about bread',
        imageUrl: at('/bread.jpg'),
        siteName: 'The Bakery',
      },
      {
        url: at('/script'),
        title: '<script>alert(1)</script>',
        description: '',
        imageUrl: null,
        siteName: 'site.example',
      },
    ]);
    expect([message.revision, message.editedAt, message.body]).toEqual([sent.revision + 1, null, sent.body]);
    expect(await stored(sent)).toEqual(message);
    // Four links, three of which count.
    expect(requests.map(({ url }) => url).sort()).toEqual(['/article', '/empty', '/script']);
  });

  it('loses a preview with its link, gets another one, and has none once it is deleted', async () => {
    pages.set('/one', html('<title>One</title>'));
    pages.set('/two', html('<title>Two</title>'));
    const sent = await send(`See ${at('/one')}`);
    const first = await updated(sent, 1);
    const edited = await api.patch(`/api/messages/${sent.id}`, { body: `See ${at('/two')}` }, ada.token);
    expect(edited.body.message.linkPreviews).toEqual([]);
    const second = await updated(edited.body.message, 1);
    expect([first, second].map(({ linkPreviews }) => linkPreviews[0]!.title)).toEqual(['One', 'Two']);
    const deleted = await api.delete(`/api/messages/${sent.id}`, ada.token);
    expect(deleted.body.message.linkPreviews).toEqual([]);
  });

  it('does not get the previews of its earlier text', async () => {
    let answer: (() => void) | undefined;
    const waiting = new Promise<void>((resolve) => {
      pages.set('/late', (_, response) => {
        answer = () => html('<title>Late</title>')(_, response);
        resolve();
      });
    });
    pages.set('/after', html('<title>After</title>'));
    const sent = await send(`See ${at('/late')}`);
    await waiting;
    await api.patch(`/api/messages/${sent.id}`, { body: 'Nothing to see' }, ada.token);
    answer!();
    const next = await send(at('/after'));
    await updated(next, 1);
    expect((await stored(sent)).linkPreviews).toEqual([]);
  });

  it('stays as it is when its links are refused', async () => {
    pages.set('/secret', html('<title>Secret</title>'));
    const sent = await send(`${at('/secret', '127.0.0.1')} http://169.254.169.254/latest/`);
    await updated(await send(at('/after')), 1);
    expect(await stored(sent)).toEqual(sent);
    expect(requests.map(({ url }) => url)).not.toContain('/secret');
  });

  it('does not wait for the slow pages of others; its sender is limited to a fair share', async () => {
    const eve = await signUp(api, 'eve');
    const room = await createRoom(api, eve, [ada]);
    const slow: ServerResponse[] = [];
    pages.set('/slow', (_, response) => void slow.push(response));
    const path = `/api/channels/${room.channelId}/messages`;
    for (let index = 0; index < 12; index++) {
      names.set(`slow${index}.example`, [['127.0.0.2']]);
      const body = at('/slow', `slow${index}.example`);
      await api.post(path, { clientMessageId: randomUUID(), body }, eve.token);
    }
    pages.set('/fresh', html('<title>Fresh</title>'));
    await updated(await send(at('/fresh')), 1);
    // The messages of one sender are processed one after the other.
    expect(slow.length).toBeLessThan(4);
    pages.set('/slow', html('<title>Slow</title>'));
    for (const response of slow) html('<title>Slow</title>')({} as IncomingMessage, response);
  });

  it('has pages fetched for it until its sender has sent thirty links in a minute', async () => {
    const eve = await signUp(api, 'eva');
    const room = await createRoom(api, eve, [ada]);
    names.set('many.example', [['127.0.0.3']]);
    for (let index = 0; index < 33; index++) pages.set(`/many${index}`, html(`<title>${index}</title>`));
    const link = (index: number) => at(`/many${index}`, 'many.example');
    const path = `/api/channels/${room.channelId}/messages`;
    const sendLinks = async (body: string) => {
      const answer = await api.post(path, { clientMessageId: randomUUID(), body }, eve.token);
      return answer.body.message;
    };
    const sent = [];
    for (let index = 0; index < 33; index += 3) {
      sent.push(await sendLinks(`${link(index)} ${link(index + 1)} ${link(index + 2)}`));
    }
    for (const message of sent.slice(0, 10)) await updated(message, 3);
    // Cached pages do not count, so the last message comes after the one that exceeds the limit.
    await updated(await sendLinks(link(0)), 1);
    expect(requests.filter(({ url }) => url.startsWith('/many'))).toHaveLength(30);
  });

  it('gets no previews when they are disabled', async () => {
    const off = await createRoom(base.api, ada);
    const path = `/api/channels/${off.channelId}/messages`;
    await base.api.post(path, { clientMessageId: randomUUID(), body: at('/off') }, ada.token);
    await updated(await send(at('/after')), 1);
    expect(requests.map(({ url }) => url)).not.toContain('/off');
  });
});
