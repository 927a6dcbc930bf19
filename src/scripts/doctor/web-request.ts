import { randomBytes } from 'node:crypto';
import { request as requestHttp, type IncomingHttpHeaders } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { TLSSocket } from 'node:tls';

const TIMEOUT_MS = 4000;
/** No more of a body is read. */
const MAX_BODY_BYTES = 64 * 1024;

export interface WebAnswer {
  /** 101 when the connection was upgraded. */
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  /** When the certificate of the server expires; undefined without TLS. */
  certificateExpiresAt: Date | undefined;
}

/** Sends a GET request and follows no redirect. @throws Error if there is no complete answer within 4 s */
export function get(
  url: string,
  signal: AbortSignal,
  headers: Record<string, string> = {},
): Promise<WebAnswer> {
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const request = send(url, { headers, agent: false, signal });
    const late = setTimeout(() => request.destroy(new Error('There is no answer within 4 s.')), TIMEOUT_MS);
    request.on('close', () => clearTimeout(late));
    request.on('error', reject);
    const expiry = () => {
      const certificate = (request.socket as Partial<TLSSocket> | null)?.getPeerCertificate?.();
      return certificate?.valid_to ? new Date(certificate.valid_to) : undefined;
    };
    request.on('upgrade', (response, socket) => {
      const certificateExpiresAt = expiry();
      socket.on('error', () => undefined).destroy();
      resolve({ status: 101, headers: response.headers, body: '', certificateExpiresAt });
    });
    request.on('response', (response) => {
      const certificateExpiresAt = expiry();
      let body = '';
      response.setEncoding('utf8').on('error', reject);
      response.on('data', (text: string) => {
        if (body.length < MAX_BODY_BYTES) body += text;
        else request.destroy(new Error('The answer is too long.'));
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, certificateExpiresAt }),
      );
    });
    request.end();
  });
}

/** Asks for a WebSocket at a URL. */
export function upgrade(url: string, signal: AbortSignal): Promise<WebAnswer> {
  return get(url, signal, {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
  });
}
