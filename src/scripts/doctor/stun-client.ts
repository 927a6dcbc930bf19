import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { lookup } from 'node:dns/promises';

/** What the doctor needs of RFC 8489 (STUN) and RFC 8656 (TURN). */
const COOKIE = 0x2112a442;
const HEADER_BYTES = 20;
const INTEGRITY_BYTES = 24;
const SUCCESS = 0x100;

export const METHOD = { binding: 0x001, allocate: 0x003, refresh: 0x004 } as const;
export const ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  lifetime: 0x000d,
  realm: 0x0014,
  nonce: 0x0015,
  relayedAddress: 0x0016,
  requestedTransport: 0x0019,
} as const;

/** The intervals at which an unanswered request is repeated over UDP, in milliseconds. */
const REPETITIONS_MS = [500, 1000, 1500];
const TIMEOUT_MS = 5000;
/** The largest answer that is accepted. */
const MAX_BYTES = 4096;

/** A server of STUN_URLS or TURN_URLS. */
export interface IceAddress {
  host: string;
  port: number;
  transport: 'udp' | 'tcp' | 'tls' | 'dtls';
}

/** Reads a URL that the configuration has accepted, with the defaults of RFC 7064 and RFC 7065. */
export function iceAddressOf(url: string): IceAddress {
  const [, scheme = '', host = '', port, transport] =
    /^([a-z]+):(\[[^\]]+\]|[^:?]+)(?::(\d+))?(?:\?transport=(udp|tcp))?$/.exec(url) ?? [];
  const isSecure = scheme.endsWith('s');
  const isUdp = (transport ?? (isSecure ? 'tcp' : 'udp')) === 'udp';
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? (isSecure ? 5349 : 3478) : Number(port),
    transport: isSecure ? (isUdp ? 'dtls' : 'tls') : isUdp ? 'udp' : 'tcp',
  };
}

/** The answer to a request. */
export interface StunAnswer {
  /** 200 for success, otherwise the error code. */
  code: number;
  attributes: ReadonlyMap<number, Buffer>;
  /** An address attribute in readable form. */
  address(attribute: number): string | undefined;
}

/** What signs a request: the long-term credentials of STUN. */
export interface StunIdentity {
  username: string;
  password: string;
  realm: Buffer;
  nonce: Buffer;
}

/** A connection to a STUN or TURN server. */
export class StunClient {
  private received: Buffer = Buffer.alloc(0);
  private failure: Error | undefined;
  private onAnswer: (() => void) | undefined;

  private constructor(
    private readonly socket: UdpSocket | Socket,
    private readonly isDatagram: boolean,
  ) {
    socket.on('error', (error: Error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('The server has closed the connection.')));
    if (isDatagram) {
      (socket as UdpSocket).on('message', (message) => this.receive(message));
    } else {
      (socket as Socket).on('data', (chunk) => this.receive(Buffer.concat([this.received, chunk])));
    }
  }

  /**
   * Connects by UDP, TCP or TLS, of which the last one verifies the certificate.
   * @param signal closes the connection.
   * @throws Error if that fails or takes longer than 5 s
   */
  static async connect({ host, port, transport }: IceAddress, signal: AbortSignal): Promise<StunClient> {
    if (transport === 'udp') {
      const { address, family } = await lookup(host);
      const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', signal });
      const client = new StunClient(socket, true);
      await opened(socket, 'connect', () => socket.connect(port, address));
      return client;
    }
    const socket =
      transport === 'tls'
        ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }) })
        : connectTcp({ host, port });
    signal.addEventListener('abort', () => socket.destroy());
    await opened(socket, transport === 'tls' ? 'secureConnect' : 'connect');
    return new StunClient(socket, false);
  }

  /** When the certificate of the server expires; undefined without TLS. */
  get certificateExpiresAt(): Date | undefined {
    const certificate = (this.socket as Partial<TLSSocket>).getPeerCertificate?.();
    return certificate?.valid_to ? new Date(certificate.valid_to) : undefined;
  }

  /** Sends a request and returns the answer. @throws Error if there is none within 5 s */
  async request(
    method: number,
    attributes: readonly [type: number, value: Buffer][],
    identity?: StunIdentity,
  ): Promise<StunAnswer> {
    const transaction = randomBytes(12);
    const message = encode(method, transaction, attributes, identity);
    const send = () => this.send(message);
    const repetitions = this.isDatagram ? REPETITIONS_MS.map((delay) => setTimeout(send, delay)) : [];
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise<StunAnswer>((resolve, reject) => {
        late = setTimeout(() => reject(new Error('The server does not answer.')), TIMEOUT_MS);
        this.onAnswer = () => {
          if (this.failure) reject(this.failure);
          const answer = this.take(method, transaction);
          if (answer) resolve(answer);
        };
        this.onAnswer();
        send();
      });
    } finally {
      clearTimeout(late);
      for (const repetition of repetitions) clearTimeout(repetition);
      this.onAnswer = undefined;
    }
  }

  close(): void {
    if (!this.isDatagram) (this.socket as Socket).destroy();
    // A UDP socket that its signal has closed cannot be closed again.
    else if (!this.failure) (this.socket as UdpSocket).close();
  }

  private send(message: Buffer): void {
    if (this.failure) return;
    if (this.isDatagram) (this.socket as UdpSocket).send(message);
    else (this.socket as Socket).write(message);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.onAnswer?.();
  }

  private receive(bytes: Buffer): void {
    this.received = bytes;
    if (bytes.length > MAX_BYTES) this.fail(new Error('The answer is not one of STUN.'));
    else this.onAnswer?.();
  }

  /** Removes the answer to a request from what was received. Answers to earlier requests are dropped. */
  private take(method: number, transaction: Buffer): StunAnswer | undefined {
    while (this.received.length >= HEADER_BYTES) {
      const bytes = this.received;
      if (bytes.readUInt32BE(4) !== COOKIE) {
        this.fail(new Error('The answer is not one of STUN.'));
        return undefined;
      }
      const end = HEADER_BYTES + bytes.readUInt16BE(2);
      if (bytes.length < end) return undefined;
      this.received = bytes.subarray(end);
      if (bytes.subarray(8, HEADER_BYTES).equals(transaction)) return decode(bytes.subarray(0, end), method);
    }
    return undefined;
  }
}

/** Resolves at an event of a socket. @throws Error when it fails first, or after 5 s */
async function opened(socket: UdpSocket | Socket, event: string, begin?: () => void): Promise<void> {
  let late: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      late = setTimeout(() => reject(new Error('The server does not answer.')), TIMEOUT_MS);
      socket.once(event, () => resolve());
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('The server has closed the connection.')));
      begin?.();
    });
  } catch (error) {
    if ('destroy' in socket) socket.destroy();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

function encode(
  method: number,
  transaction: Buffer,
  attributes: readonly [number, Buffer][],
  identity: StunIdentity | undefined,
): Buffer {
  const identifying: [number, Buffer][] = identity
    ? [
        [ATTRIBUTE.username, Buffer.from(identity.username)],
        [ATTRIBUTE.realm, identity.realm],
        [ATTRIBUTE.nonce, identity.nonce],
      ]
    : [];
  const body = Buffer.concat(
    [...attributes, ...identifying].map(([type, value]) => encodeAttribute(type, value)),
  );
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(method, 0);
  // The HMAC counts its own attribute in the length.
  header.writeUInt16BE(body.length + (identity ? INTEGRITY_BYTES : 0), 2);
  header.writeUInt32BE(COOKIE, 4);
  transaction.copy(header, 8);
  if (!identity) return Buffer.concat([header, body]);
  const { username, realm, password } = identity;
  const key = createHash('md5').update(`${username}:${realm.toString()}:${password}`).digest();
  const hmac = createHmac('sha1', key).update(header).update(body).digest();
  return Buffer.concat([header, body, encodeAttribute(ATTRIBUTE.messageIntegrity, hmac)]);
}

function encodeAttribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + padded(value.length));
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

function decode(message: Buffer, method: number): StunAnswer {
  const attributes = new Map<number, Buffer>();
  for (let at = HEADER_BYTES; at + 4 <= message.length;) {
    const size = message.readUInt16BE(at + 2);
    attributes.set(message.readUInt16BE(at), message.subarray(at + 4, at + 4 + size));
    at += 4 + padded(size);
  }
  const error = attributes.get(ATTRIBUTE.errorCode);
  const isSuccess = message.readUInt16BE(0) === (method | SUCCESS);
  const code = isSuccess ? 200 : error && error.length >= 4 ? error[2]! * 100 + error[3]! : 500;
  // Addresses are combined with the cookie and, in IPv6, the transaction.
  const mask = message.subarray(4, HEADER_BYTES);
  return {
    code,
    attributes,
    address: (attribute) => {
      const value = attributes.get(attribute)?.subarray(4);
      if (value?.length === 4) return [...value].map((byte, at) => byte ^ mask[at]!).join('.');
      if (value?.length !== 16) return undefined;
      const plain = Buffer.from(value.map((byte, at) => byte ^ mask[at]!));
      return Array.from({ length: 8 }, (_, at) => plain.readUInt16BE(2 * at).toString(16)).join(':');
    },
  };
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
