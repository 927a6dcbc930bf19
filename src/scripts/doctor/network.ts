import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Config } from '../../config/env.config';
import { isLoopback } from './addresses';
import { reportCertificate } from './certificate';
import { messageOf, type Check, type Report } from './check';
import { ProbeListener, type Arrival } from './probe-listener';
import { get, upgrade, type WebAnswer } from './web-request';

/** A forged address of a client, which no client has: it is reserved for documentation. */
const FORGED = '203.0.113.66';

/** The path at which Parley says that it runs, and the two transports of Socket.IO. */
const LIVE = '/health/live';
const POLLING = '/socket.io/?EIO=4&transport=polling';
const WEB_SOCKET = '/socket.io/?EIO=4&transport=websocket';

export const networkChecks: Check[] = [
  {
    group: 'Network',
    title: 'Port and proxy',
    settings: ['HOST', 'PORT', 'PUBLIC_URL', 'TRUST_PROXY', 'NODE_ENV'],
    run: async ({ http }, report, signal) => {
      const mark = `doctor-${randomBytes(12).toString('hex')}`;
      const listener = await openListener(http, mark, report, signal);
      try {
        if (http.publicUrl === undefined) report('skipped', 'PUBLIC_URL is not set: no proxy to check');
        else await checkProxy(http.publicUrl, http, listener, mark, report, signal);
        reportTrustInAll(http, report);
      } finally {
        await listener?.close();
      }
    },
  },
  {
    group: 'Network',
    title: 'Port of metrics',
    settings: ['METRICS_HOST', 'METRICS_PORT', 'HOST', 'PORT'],
    run: async ({ metrics: { listener }, http }, report) => {
      if (!listener || listener.port === 0) return;
      if (listener.port === http.port) {
        report('error', `METRICS_PORT and PORT are both ${http.port}`, 'Set another METRICS_PORT.');
        return;
      }
      const error = await tryPort(listener.port, listener.host);
      if (!error) report('ok', `METRICS_PORT ${listener.port} is free`);
      else if (error.code === 'EADDRINUSE' && (await isParley(http)))
        report('ok', `METRICS_PORT ${listener.port} is in use, and the server is running`);
      else report('error', ...explainPort('METRICS_', listener.port, listener.host, error));
    },
  },
];

/** Opens the port of the server, if it does not run. */
async function openListener(
  http: Config['http'],
  mark: string,
  report: Report,
  signal: AbortSignal,
): Promise<ProbeListener | undefined> {
  if (http.port === 0) {
    report('ok', 'PORT is 0: the system chooses one');
    return undefined;
  }
  try {
    const listener = await ProbeListener.open(http, mark);
    signal.addEventListener('abort', () => void listener.close());
    report('ok', `PORT ${http.port} on ${http.host} is free`);
    return listener;
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    if (failure.code === 'EADDRINUSE' && (await isParley(http)))
      report('ok', `a server of Parley is running on PORT ${http.port}`);
    else report('error', ...explainPort('', http.port, http.host, failure));
    return undefined;
  }
}

/** Whether a server of Parley answers at the configured address. */
async function isParley({ host, port }: Config['http']): Promise<boolean> {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}${LIVE}`;
  return get(url, new AbortController().signal).then(isLive, () => false);
}

function isLive({ status, body }: WebAnswer): boolean {
  return status === 200 && body === '{"status":"ok"}';
}

async function tryPort(port: number, host: string): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer();
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once('error', resolve);
    server.listen(port, host, () => resolve(undefined));
  });
  if (!error) await new Promise((resolve) => server.close(resolve));
  return error;
}

function explainPort(
  prefix: string,
  port: number,
  host: string,
  error: NodeJS.ErrnoException,
): [message: string, advice: string] {
  switch (error.code) {
    case 'EADDRINUSE':
      return [
        `${prefix}PORT ${port} is taken by another program`,
        `Set another ${prefix}PORT, or stop that program.`,
      ];
    case 'EACCES':
      return [`${prefix}PORT ${port} may not be used by this user`, `Set a ${prefix}PORT above 1023.`];
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return [
        `${prefix}HOST ${host} is not an address of this machine`,
        `Set ${prefix}HOST to one, or to 0.0.0.0.`,
      ];
    default:
      return [`${prefix}PORT ${port} cannot be used: ${messageOf(error)}`, `Set another ${prefix}PORT.`];
  }
}

/** Sends requests to the public address as a client does, with a forged address, and looks at what arrives. */
async function checkProxy(
  publicUrl: string,
  http: Config['http'],
  listener: ProbeListener | undefined,
  mark: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  let answer: WebAnswer;
  try {
    answer = await get(`${publicUrl}${LIVE}?${mark}`, signal, { 'X-Forwarded-For': FORGED });
  } catch (error) {
    const isCertificate = /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(
      `${(error as NodeJS.ErrnoException).code ?? ''} ${messageOf(error)}`,
    );
    report(
      isCertificate ? 'error' : 'warning',
      `PUBLIC_URL ${publicUrl} cannot be reached from this machine: ${messageOf(error)}`,
      isCertificate
        ? 'Browsers refuse it, too: check the certificate and the name in it.'
        : 'Check DNS, the firewall, and whether the proxy runs. Some routers do not let a machine reach its own public address.',
    );
    return;
  }
  if (answer.certificateExpiresAt) reportCertificate(publicUrl, answer.certificateExpiresAt, report);
  if (publicUrl.startsWith('https:')) await checkPlainHttp(publicUrl, report, signal);
  const isOurs = answer.status === 200 && answer.body === mark;
  if (!isOurs && !isLive(answer)) {
    reportWrongAnswer(publicUrl, answer, listener !== undefined, http, report);
    return;
  }
  report('ok', `PUBLIC_URL ${publicUrl} leads to ${isOurs ? 'this machine' : 'a running server'}`);
  await checkTransports(publicUrl, mark, report, signal);
  if (isOurs && listener?.arrival) reportAddress(listener.arrival, http, report);
  else
    report(
      'skipped',
      'TRUST_PROXY: a running server does not tell the address that it sees',
      'Stop the servers behind the proxy, and run the doctor again.',
    );
}

function reportWrongAnswer(
  publicUrl: string,
  { status, headers }: WebAnswer,
  isListening: boolean,
  { host, port }: Config['http'],
  report: Report,
): void {
  const { location } = headers;
  if (location !== undefined) {
    report(
      'error',
      `PUBLIC_URL ${publicUrl} redirects to ${location}`,
      'Set PUBLIC_URL to the final address.',
    );
  } else if ([502, 503, 504].includes(status)) {
    report(
      isListening ? 'error' : 'warning',
      `the proxy at ${publicUrl} answers ${status}: it cannot reach the server`,
      `Let it forward to ${host}:${port}.`,
    );
  } else {
    report(
      'error',
      `${publicUrl}${LIVE} answers ${status}, and not as Parley does`,
      'Another program answers there.',
    );
  }
}

/** Whether plain HTTP leads to HTTPS. A port that nobody listens on is as good. */
async function checkPlainHttp(publicUrl: string, report: Report, signal: AbortSignal): Promise<void> {
  const { hostname, port, pathname } = new URL(publicUrl);
  if (port !== '') return;
  const plain = `http://${hostname}${pathname === '/' ? '' : pathname}${LIVE}`;
  const answer = await get(plain, signal).catch(() => undefined);
  if (!answer || answer.headers.location?.startsWith('https:')) report('ok', 'plain HTTP is not served');
  else
    report(
      'warning',
      `http://${hostname} is answered without encryption`,
      'Let the proxy redirect it to https:// with the status 308.',
    );
}

/** Whether both transports of Socket.IO pass the proxy. */
async function checkTransports(
  publicUrl: string,
  mark: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const [polling, webSocket] = await Promise.all([
    get(`${publicUrl}${POLLING}&${mark}`, signal).catch(() => undefined),
    upgrade(`${publicUrl}${WEB_SOCKET}&${mark}`, signal).catch(() => undefined),
  ]);
  if (webSocket?.status === 101) report('ok', 'WebSocket connections pass the proxy');
  else
    report(
      'error',
      `WebSocket connections do not pass the proxy (${webSocket ? `answer ${webSocket.status}` : 'no answer'})`,
      'nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
    );
  const isPolling = polling?.status === 200 && (polling.body === mark || polling.body.startsWith('0{'));
  if (isPolling) report('ok', 'long polling passes the proxy');
  else
    report(
      'error',
      `long polling does not pass the proxy (${polling ? `answer ${polling.status}` : 'no answer'})`,
      'Let the proxy forward /socket.io/ unchanged.',
    );
}

/** Judges the address that TRUST_PROXY makes of a request whose client has forged one. */
export function assessAddress({
  client,
  peer,
  isPeerTrusted,
  forwardedFor,
}: Arrival): ['ok' | 'warning' | 'error', message: string, advice?: string] {
  const forwarded = forwardedFor?.split(',').map((part) => part.trim()) ?? [];
  if (client === FORGED)
    return forwarded.length === 1
      ? [
          'error',
          'clients can choose their addresses: the proxy passes X-Forwarded-For on unchanged',
          'nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
        ]
      : [
          'error',
          `clients can choose their addresses: TRUST_PROXY trusts more proxies than there are (X-Forwarded-For: ${forwarded.join(', ')})`,
          'Set TRUST_PROXY to the number of proxies, or to their addresses.',
        ];
  if (!forwarded.some((address) => address !== FORGED))
    return [
      'warning',
      `the proxy ${peer} does not tell the addresses of clients, so that limits meet all of them together`,
      'nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; and set TRUST_PROXY.',
    ];
  if (!isPeerTrusted)
    return [
      'warning',
      `TRUST_PROXY does not trust the proxy ${peer}: all clients have its address, and limits meet all of them together`,
      'Set TRUST_PROXY to the number of proxies, or to their addresses.',
    ];
  return ['ok', `TRUST_PROXY finds the address of a client (${client}), and no forged one`];
}

function reportAddress(
  arrival: Arrival,
  { publicUrl = '', port, trustProxy }: Config['http'],
  report: Report,
): void {
  const url = new URL(publicUrl);
  // The server itself serves plain HTTP only.
  const isDirect = url.protocol === 'http:' && Number(url.port || 80) === port;
  if (isDirect && arrival.client === FORGED) {
    report(
      'error',
      'clients can choose their addresses, because there is no proxy',
      'Set TRUST_PROXY=false.',
    );
  } else if (isDirect) {
    report('ok', 'PUBLIC_URL leads to the server without a proxy, and forged addresses are ignored');
  } else if (typeof trustProxy === 'string' && arrival.client === FORGED && comesFromHere(arrival)) {
    report(
      'skipped',
      `TRUST_PROXY=${trustProxy} also trusts this machine as a proxy, so that a forged address cannot be tried from it`,
    );
  } else report(...assessAddress(arrival));
}

/** Whether the proxy has seen an address of this machine as that of the client. */
function comesFromHere({ forwardedFor = '' }: Arrival): boolean {
  const client = forwardedFor
    .split(',')[1]
    ?.trim()
    .replace(/^::ffff:/, '');
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return own.some(({ address }) => address === client);
}

function reportTrustInAll({ trustProxy, host }: Config['http'], report: Report): void {
  if (trustProxy !== true || isLoopback(host)) return;
  report(
    'warning',
    `TRUST_PROXY=true with HOST ${host}: whoever reaches the port directly can choose an address, and evade all limits`,
    'Set TRUST_PROXY to the number of proxies or to their addresses, or HOST to 127.0.0.1.',
  );
}
