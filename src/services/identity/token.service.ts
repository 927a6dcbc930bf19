import {
  createHash,
  createHmac,
  createSecretKey,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import jwt from 'jsonwebtoken';
import { ObjectId } from 'mongodb';
import { z } from 'zod';
import type { Caller } from '../../models/identity/session.model';
import { GLOBAL_ROLES } from '../../models/user.model';
import { AppError } from '../../utils/errors';

const ALGORITHM = 'HS256';
const ISSUER = 'parley';
const AUDIENCE = 'parley:access';
/** By how much the clocks of two nodes may differ. */
const CLOCK_SKEW_SECONDS = 5;

const hexId = z.string().regex(/^[0-9a-f]{24}$/);
const claimsSchema = z.object({ sub: hexId, sid: hexId, role: z.enum(GLOBAL_ROLES), exp: z.number() });

/** The user and the session that an access token belongs to. */
export type TokenHolder = Omit<Caller, 'address'>;

/** The claims of an access token, before its session has been checked. */
export interface AccessClaims extends TokenHolder {
  expiresAt: Date;
}

/** The user and the session that a ticket for a file belongs to. */
export type FileTicketHolder = Pick<TokenHolder, 'userId' | 'sessionId'>;

/** Creates and verifies the tokens of sessions. */
export class TokenService {
  /** By key id: the signing key, and the previous one, whose tokens are still accepted. */
  private readonly keys = new Map<string, KeyObject>();
  private readonly currentKeyId: string;
  private readonly currentKey: KeyObject;

  constructor(
    secret: string,
    previousSecret: string | undefined,
    /** How long an access token is valid. */
    readonly accessTokenSeconds: number,
  ) {
    this.currentKeyId = keyIdOf(secret);
    this.currentKey = keyOf(secret);
    if (previousSecret !== undefined) this.keys.set(keyIdOf(previousSecret), keyOf(previousSecret));
    this.keys.set(this.currentKeyId, this.currentKey);
  }

  /** Returns a signed access token: a JWT with `sub` (user), `sid` (session) and `role`. */
  signAccessToken(holder: TokenHolder): string {
    return jwt.sign({ sid: holder.sessionId.toHexString(), role: holder.role }, this.currentKey, {
      algorithm: ALGORITHM,
      keyid: this.currentKeyId,
      issuer: ISSUER,
      audience: AUDIENCE,
      subject: holder.userId.toHexString(),
      expiresIn: this.accessTokenSeconds,
    });
  }

  /**
   * Verifies an access token and returns its claims. Whether the session is still valid is decided by SessionService.
   * @throws AppError token_expired, token_invalid
   */
  verifyAccessToken(token: string): AccessClaims {
    try {
      const keyId = jwt.decode(token, { complete: true })?.header.kid;
      const key = this.keys.get(keyId ?? '');
      if (key === undefined) throw new jwt.JsonWebTokenError('unknown key');
      const verified = jwt.verify(token, key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        clockTolerance: CLOCK_SKEW_SECONDS,
      });
      const claims = claimsSchema.parse(verified);
      return {
        userId: new ObjectId(claims.sub),
        sessionId: new ObjectId(claims.sid),
        role: claims.role,
        expiresAt: new Date(claims.exp * 1000),
      };
    } catch (error) {
      if (error instanceof jwt.TokenExpiredError) {
        throw new AppError('token_expired', 'The access token has expired.');
      }
      throw new AppError('token_invalid', 'The access token is not valid.');
    }
  }

  /**
   * Returns a refresh token: the session's id, 256 random bits and a signature. Only its hash is stored. The signature
   * distinguishes issued tokens from invented ones, so that nobody can end a session by presenting an invented token.
   */
  createRefreshToken(sessionId: ObjectId): { token: string; hash: string } {
    const content = `${sessionId.toHexString()}.${randomBytes(32).toString('base64url')}`;
    const token = `${content}.${sign(`refresh:${content}`, this.currentKey)}`;
    return { token, hash: hashToken(token) };
  }

  /**
   * Returns a signed ticket that authenticates a session for one file until a time, for requests that cannot send a
   * header. Whether the session is still valid and may read the file is checked when the ticket is used.
   */
  createFileTicket({ userId, sessionId }: FileTicketHolder, fileId: string, expiresAt: Date): string {
    const content = [userId.toHexString(), sessionId.toHexString(), expiresAt.getTime()].join('.');
    return `${content}.${sign(fileTicketContent(fileId, content), this.currentKey)}`;
  }

  /** Verifies a ticket for a file and returns its holder. @throws AppError token_expired, token_invalid */
  readFileTicket(ticket: string, fileId: string): FileTicketHolder {
    const match = /^(([0-9a-f]{24})\.([0-9a-f]{24})\.(\d{1,15}))\.([A-Za-z0-9_-]{43})$/.exec(ticket);
    const [, content, userId, sessionId, expiresAt, given] = match ?? [];
    if (!content || !given || !this.isSigned(fileTicketContent(fileId, content), given)) {
      throw new AppError('token_invalid', 'The ticket is not valid for this file.');
    }
    if (Number(expiresAt) < Date.now()) throw new AppError('token_expired', 'The ticket has expired.');
    return { userId: new ObjectId(userId), sessionId: new ObjectId(sessionId) };
  }

  /** Returns the session that a refresh token was issued for, and the hash of the token; undefined if it was never issued. */
  readRefreshToken(token: string): { sessionId: ObjectId; hash: string } | undefined {
    const match = /^(([0-9a-f]{24})\.[A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/.exec(token);
    const [, content, sessionId, given] = match ?? [];
    if (!content || !sessionId || !given) return undefined;
    if (!this.isSigned(`refresh:${content}`, given)) return undefined;
    return { sessionId: new ObjectId(sessionId), hash: hashToken(token) };
  }

  private isSigned(content: string, given: string): boolean {
    return [...this.keys.values()].some((key) =>
      timingSafeEqual(Buffer.from(given), Buffer.from(sign(content, key))),
    );
  }
}

/** Returns the hash under which a token is stored. Tokens are random, so a fast hash is enough. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function keyIdOf(secret: string): string {
  return createHash('sha256').update(`parley key id ${secret}`).digest('base64url').slice(0, 12);
}

/** Returns the key as an object: for a text, jsonwebtoken would try each time whether it is a public key. */
function keyOf(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret));
}

const fileTicketContent = (fileId: string, content: string): string => `file:${fileId}.${content}`;

function sign(content: string, key: KeyObject): string {
  return createHmac('sha256', key).update(content).digest('base64url');
}
