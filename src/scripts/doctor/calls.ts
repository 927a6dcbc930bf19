import { ObjectId } from 'mongodb';
import { lookup } from 'node:dns/promises';
import { IceServers } from '../../services/calls/ice-servers';
import { isPublicAddress } from '../../utils/public-address';
import { reportCertificate } from './certificate';
import { messageOf, type Check, type Report } from './check';
import {
  ATTRIBUTE,
  iceAddressOf,
  METHOD,
  StunClient,
  type StunAnswer,
  type StunIdentity,
} from './stun-client';

const UDP = Buffer.from([17, 0, 0, 0]);
const NO_LIFETIME = Buffer.alloc(4);
const UNAUTHENTICATED = 401;
const STALE_NONCE = 438;

/** Asks each STUN server for an answer, and each TURN server for a relay, which is released at once. */
export const callsCheck: Check = {
  group: 'Calls',
  title: 'STUN and TURN',
  settings: ['STUN_URLS', 'TURN_URLS', 'TURN_SECRET', 'TURN_TTL_SECONDS', 'NODE_ENV', 'PEERJS_ENABLED'],
  run: async ({ ice, environment, peerjs }, report, signal) => {
    if (!peerjs.enabled) {
      report('skipped', 'calls are switched off (PEERJS_ENABLED)');
      return;
    }
    const { stunUrls, turn } = ice;
    if (!turn) {
      const message = 'TURN_URLS is not set: people behind strict firewalls cannot call each other';
      const status = environment === 'production' ? 'warning' : 'skipped';
      report(status, message, 'docs/turn.md says how to set up a relay.');
    }
    const credentials = new IceServers(ice).forUser(new ObjectId()).iceServers.at(-1);
    const tries = [
      ...stunUrls.map((url) => tryServer(url, signal, askForBinding)),
      ...(turn?.urls ?? []).map((url) =>
        tryServer(url, signal, (client, each) =>
          askForRelay(client, each, {
            username: credentials?.username ?? '',
            password: credentials?.credential ?? '',
          }),
        ),
      ),
    ];
    // They run at the same time, and are shown in the order of the settings.
    for (const findings of await Promise.all(tries)) for (const finding of findings) report(...finding);
  },
};

type Findings = Parameters<Report>[];

async function tryServer(
  url: string,
  signal: AbortSignal,
  ask: (client: StunClient, url: string) => Promise<Findings>,
): Promise<Findings> {
  const address = iceAddressOf(url);
  if (address.transport === 'dtls') return [['skipped', `${url}: the doctor has no DTLS`]];
  try {
    const client = await StunClient.connect(address, signal);
    try {
      const findings = await ask(client, url);
      const expiresAt = client.certificateExpiresAt;
      if (expiresAt) reportCertificate(url, expiresAt, (...finding) => void findings.push(finding));
      return findings;
    } finally {
      client.close();
    }
  } catch (error) {
    const advice =
      address.transport === 'tls'
        ? 'Check the certificate, the port, the firewall, and whether coturn runs.'
        : 'Check the address, the firewall (UDP and TCP), and whether coturn runs.';
    return [['error', `${url} cannot be used: ${messageOf(error)}`, advice]];
  }
}

async function askForBinding(client: StunClient, url: string): Promise<Findings> {
  const { code } = await client.request(METHOD.binding, []);
  if (code === 200) return [['ok', `${url} answers`]];
  return [['error', `${url} answers with the error ${code}`, 'Check the configuration of the STUN server.']];
}

/** Allocates a relay as a browser does: the first request is refused with what the second one must contain. */
async function askForRelay(
  client: StunClient,
  url: string,
  credentials: { username: string; password: string },
): Promise<Findings> {
  const allocate = (identity?: StunIdentity) =>
    client.request(METHOD.allocate, [[ATTRIBUTE.requestedTransport, UDP]], identity);
  const first = await allocate();
  if (first.code === 200) {
    await client.request(METHOD.refresh, [[ATTRIBUTE.lifetime, NO_LIFETIME]]);
    return [
      [
        'error',
        `${url} gives a relay to everybody`,
        'Set use-auth-secret, and remove no-auth (docs/turn.md).',
      ],
    ];
  }
  let identity = identityFor(first, credentials);
  if (!identity) return [['error', `${url} answers with the error ${first.code}`, 'Is it a TURN server?']];
  let answer = await allocate(identity);
  if (answer.code === STALE_NONCE) {
    identity = identityFor(answer, credentials) ?? identity;
    answer = await allocate(identity);
  }
  if (answer.code !== 200) return [['error', ...refusal(url, answer.code)]];
  const relayed = answer.address(ATTRIBUTE.relayedAddress) ?? 'an unknown address';
  await client.request(METHOD.refresh, [[ATTRIBUTE.lifetime, NO_LIFETIME]], identity);
  const { address } = await lookup(iceAddressOf(url).host);
  if (isPublicAddress(address) && !isPublicAddress(relayed))
    return [
      [
        'error',
        `${url} relays at ${relayed}, which clients cannot reach`,
        'coturn is behind NAT: set external-ip in its configuration.',
      ],
    ];
  return [['ok', `${url} relays at ${relayed}`]];
}

function identityFor(
  { attributes }: StunAnswer,
  credentials: { username: string; password: string },
): StunIdentity | undefined {
  const realm = attributes.get(ATTRIBUTE.realm);
  const nonce = attributes.get(ATTRIBUTE.nonce);
  return realm && nonce && { ...credentials, realm, nonce };
}

function refusal(url: string, code: number): [message: string, advice: string] {
  if (code === UNAUTHENTICATED)
    return [
      `${url} refuses the credentials`,
      'TURN_SECRET must be the static-auth-secret of coturn, and the clocks of both machines must agree.',
    ];
  if (code === 486) return [`${url} has no relay left for a user`, 'Raise user-quota and total-quota.'];
  if (code === 508) return [`${url} has no port left for a relay`, 'Raise max-port, or total-quota.'];
  return [`${url} refuses a relay with the error ${code}`, 'The log of coturn says why.'];
}
