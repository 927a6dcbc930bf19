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
/** Seconds by which the clocks of two nodes may differ. */
const CLOCK_SKEW_SECONDS = 5;

const hexId = z.string().regex(/^[0-9a-f]{24}$/);
const claimsSchema = z.object({ sub: hexId, sid: hexId, role: z.enum(GLOBAL_ROLES), exp: z.number() });

/** Whom an access token is for. */
export type TokenHolder = Omit<Caller, 'address'>;

/** What an access token says, before anybody has looked whether its session still stands. */
export interface AccessClaims extends TokenHolder {
  expiresAt: Date;
}

/** Whom a ticket for a file is for. */
export type FileTicketHolder = Pick<TokenHolder, 'userId' | 'sessionId'>;

/** Makes and reads the tokens of a session. */
export class TokenService {
  /** By key id: the signing key, and the one before it, whose tokens are still good. */
  private readonly keys = new Map<string, KeyObject>();
  private readonly currentKeyId: string;
  private readonly currentKey: KeyObject;

  constructor(
    secret: string,
    previousSecret: string | undefined,
    /** How long an access token is good. */
    readonly accessTokenSeconds: number,
  ) {
    this.currentKeyId = keyIdOf(secret);
    this.currentKey = keyOf(secret);
    if (previousSecret !== undefined) this.keys.set(keyIdOf(previousSecret), keyOf(previousSecret));
    this.keys.set(this.currentKeyId, this.currentKey);
  }

  /** A signed access token: a JWT with `sub` (user), `sid` (session) and `role`. */
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
   * Reads an access token. That its session still stands is for SessionService to say.
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
   * A refresh token: the session's id, 256 random bits and a seal. Only its hash is stored. The seal tells a
   * token that was issued once from an invented one, so that nobody can end a session by guessing at it.
   */
  createRefreshToken(sessionId: ObjectId): { token: string; hash: string } {
    const content = `${sessionId.toHexString()}.${randomBytes(32).toString('base64url')}`;
    const token = `${content}.${sign(`refresh:${content}`, this.currentKey)}`;
    return { token, hash: hashToken(token) };
  }

  /**
   * What stands for a session where no header can be sent, and opens one file: who asks and until when, with a seal.
   * Whether the session still stands, and they may read the file, is asked when it is used.
   */
  createFileTicket({ userId, sessionId }: FileTicketHolder, fileId: string, expiresAt: Date): string {
    const content = [userId.toHexString(), sessionId.toHexString(), expiresAt.getTime()].join('.');
    return `${content}.${sign(fileTicketContent(fileId, content), this.currentKey)}`;
  }

  /** Whom a ticket for a file was given to. @throws AppError token_expired, token_invalid */
  readFileTicket(ticket: string, fileId: string): FileTicketHolder {
    const match = /^(([0-9a-f]{24})\.([0-9a-f]{24})\.(\d{1,15}))\.([A-Za-z0-9_-]{43})$/.exec(ticket);
    const [, content, userId, sessionId, expiresAt, given] = match ?? [];
    if (!content || !given || !this.isSigned(fileTicketContent(fileId, content), given)) {
      throw new AppError('token_invalid', 'The ticket is not one for this file.');
    }
    if (Number(expiresAt) < Date.now()) throw new AppError('token_expired', 'The ticket has expired.');
    return { userId: new ObjectId(userId), sessionId: new ObjectId(sessionId) };
  }

  /** The session for which a refresh token was issued, and its hash; undefined if it never was. */
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

/** What is stored of a secret that somebody else keeps. The secret is random, so a fast hash is enough. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function keyIdOf(secret: string): string {
  return createHash('sha256').update(`parley key id ${secret}`).digest('base64url').slice(0, 12);
}

/** A key as an object: given as text, jsonwebtoken would try each time whether it is a public key. */
function keyOf(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret));
}

const fileTicketContent = (fileId: string, content: string): string => `file:${fileId}.${content}`;

function sign(content: string, key: KeyObject): string {
  return createHmac('sha256', key).update(content).digest('base64url');
}
