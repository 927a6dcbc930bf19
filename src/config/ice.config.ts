import { isIP } from 'node:net';
import { z } from 'zod';
import { wholeNumber } from './setting-values';

/** The STUN and TURN servers that clients use in calls. */
export interface IceConfig {
  stunUrls: string[];
  /** Undefined: there is no relay. */
  turn:
    | {
        urls: string[];
        /** The `static-auth-secret` of coturn. */
        secret: string;
        /** How long credentials can be used, in seconds. */
        ttlSeconds: number;
      }
    | undefined;
}

/** Browsers contact every server before each connection, so many servers delay the start of a call. */
const MAX_URLS = 8;

/** One entry in a list of URLs without authority: `turn:host`, `turn:host:port`, `turn:[::1]:port?transport=udp`. */
const ICE_URL =
  /^([a-z]+):(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/;

/**
 * URLs of RFC 7064 (STUN) or RFC 7065 (TURN), separated by commas. A browser refuses to make any connection when one URL is
 * malformed, so the start is refused.
 */
function iceUrls(schemes: readonly string[], example: string, withTransport: boolean) {
  return z.string().transform((text, context) => {
    const urls = text
      .split(',')
      .map((url) => url.trim())
      .filter(Boolean);
    const wrong = urls.findIndex((url) => !isIceUrl(url, schemes, withTransport));
    if (wrong >= 0) {
      // A wrong URL is not shown, because it may contain a password: turn:user:password@host.
      const message = `must list URLs such as ${example}; number ${wrong + 1} is not one`;
      context.addIssue({ code: 'custom', message });
    }
    if (urls.length > MAX_URLS) {
      context.addIssue({ code: 'custom', message: `must list at most ${MAX_URLS} URLs` });
    }
    return urls;
  });
}

function isIceUrl(text: string, schemes: readonly string[], withTransport: boolean): boolean {
  const [, scheme = '', host = '', port, transport] = ICE_URL.exec(text) ?? [];
  if (!schemes.includes(scheme) || (transport !== undefined && !withTransport)) return false;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return false;
  return host.startsWith('[') ? isIP(host.slice(1, -1)) === 6 : isHostName(host);
}

/** Whether it is a host name or an IPv4 address. */
function isHostName(host: string): boolean {
  if (/^[\d.]+$/.test(host)) return isIP(host) === 4;
  return host.split('.').every((label) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label));
}

/** The settings of ICE, which are a part of all settings (env.config.ts). */
export const iceSettings = {
  STUN_URLS: iceUrls(['stun', 'stuns'], 'stun:stun.example.org:3478', false).default([]),
  TURN_URLS: iceUrls(['turn', 'turns'], 'turn:turn.example.org:3478?transport=udp', true).default([]),
  TURN_SECRET: z.string().min(16, 'must have at least 16 characters').optional(),
  // From five minutes, because the clocks of the two servers may differ, to a day.
  TURN_TTL_SECONDS: wholeNumber(300, 86_400).default(14_400),
};

type IceValues = z.infer<z.ZodObject<typeof iceSettings>>;

/** Reports a relay without the secret that it requires. */
export function checkIceSettings(settings: IceValues, context: z.RefinementCtx): void {
  if (settings.TURN_URLS.length === 0 || settings.TURN_SECRET !== undefined) return;
  const message = "must be set with TURN_URLS: it is the static-auth-secret of coturn's configuration";
  context.addIssue({ code: 'custom', path: ['TURN_SECRET'], message });
}

export function toIceConfig({ STUN_URLS, TURN_URLS, TURN_SECRET, TURN_TTL_SECONDS }: IceValues): IceConfig {
  const turn =
    TURN_URLS.length > 0 && TURN_SECRET !== undefined
      ? { urls: TURN_URLS, secret: TURN_SECRET, ttlSeconds: TURN_TTL_SECONDS }
      : undefined;
  return { stunUrls: STUN_URLS, turn };
}
