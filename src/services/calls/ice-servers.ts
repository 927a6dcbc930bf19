import { createHmac } from 'node:crypto';
import type { ObjectId } from 'mongodb';

/** The STUN and TURN servers of this installation. */
export interface IceSettings {
  /** URLs such as `stun:stun.example.org:3478`. */
  stunUrls: string[];
  /** Undefined: there is no relay. */
  turn: TurnSettings | undefined;
}

interface TurnSettings {
  /** URLs such as `turn:turn.example.org:3478?transport=udp`. All of them share the secret. */
  urls: string[];
  /** The `static-auth-secret` of coturn. */
  secret: string;
  /** How long credentials can be used. */
  ttlSeconds: number;
}

/** One entry of `iceServers` in the configuration of an RTCPeerConnection. */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/** The ICE servers for one user. */
export interface IceConnection {
  iceServers: IceServer[];
  /** When the TURN credentials expire, in ISO 8601; null without TURN. */
  iceExpiresAt: string | null;
}

/** Issues the ICE servers that a client passes to its RTCPeerConnections, with TURN credentials of its user. */
export class IceServers {
  constructor(private readonly settings: IceSettings) {}

  /**
   * Returns the ICE servers for a user; an empty list when none are set.
   *
   * The credentials follow coturn's REST scheme: the user name is `<expiry in Unix seconds>:<user id>`, and the credential
   * is its HMAC-SHA1 under the shared secret, in base64. The part after the colon must be the same each time: coturn
   * applies `user-quota` to it.
   */
  forUser(userId: ObjectId, now = new Date()): IceConnection {
    const { stunUrls, turn } = this.settings;
    const iceServers: IceServer[] = stunUrls.length > 0 ? [{ urls: stunUrls }] : [];
    if (!turn) return { iceServers, iceExpiresAt: null };
    const expiry = Math.floor(now.getTime() / 1000) + turn.ttlSeconds;
    const username = `${expiry}:${userId.toHexString()}`;
    const credential = createHmac('sha1', turn.secret).update(username).digest('base64');
    iceServers.push({ urls: turn.urls, username, credential });
    return { iceServers, iceExpiresAt: new Date(expiry * 1000).toISOString() };
  }
}
