import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { ObjectId } from 'mongodb';
import { z } from 'zod';
import type { Caller } from '../models/session.model';
import { GLOBAL_ROLES } from '../models/user.model';
import { AppError } from '../utils/errors';

const ALGORITHM = 'HS256';
const ISSUER = 'parley';
const AUDIENCE = 'parley:access';

const hexId = z.string().regex(/^[0-9a-f]{24}$/);
const claimsSchema = z.object({ sub: hexId, sid: hexId, role: z.enum(GLOBAL_ROLES) });

/** Makes and reads the tokens of a session. */
export class TokenService {
  constructor(
    private readonly secret: string,
    private readonly accessTokenSeconds: number,
  ) {}

  /** A signed access token: a JWT with `sub` (user), `sid` (session) and `role`. */
  signAccessToken(caller: Caller): string {
    return jwt.sign({ sid: caller.sessionId.toHexString(), role: caller.role }, this.secret, {
      algorithm: ALGORITHM,
      issuer: ISSUER,
      audience: AUDIENCE,
      subject: caller.userId.toHexString(),
      expiresIn: this.accessTokenSeconds,
    });
  }

  /**
   * Reads an access token. That its session still stands is for AuthService to say.
   * @throws AppError token_expired, token_invalid
   */
  verifyAccessToken(token: string): Caller {
    try {
      const claims = claimsSchema.parse(
        jwt.verify(token, this.secret, { algorithms: [ALGORITHM], issuer: ISSUER, audience: AUDIENCE }),
      );
      return { userId: new ObjectId(claims.sub), sessionId: new ObjectId(claims.sid), role: claims.role };
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
    const token = `${content}.${this.seal(content)}`;
    return { token, hash: hashOf(token) };
  }

  /** The session for which a refresh token was issued, and its hash; undefined if it never was. */
  readRefreshToken(token: string): { sessionId: ObjectId; hash: string } | undefined {
    const match = /^(([0-9a-f]{24})\.[A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/.exec(token);
    const [, content, sessionId, seal] = match ?? [];
    if (!content || !sessionId || !seal) return undefined;
    if (!timingSafeEqual(Buffer.from(seal), Buffer.from(this.seal(content)))) return undefined;
    return { sessionId: new ObjectId(sessionId), hash: hashOf(token) };
  }

  private seal(content: string): string {
    return createHmac('sha256', this.secret).update(`refresh:${content}`).digest('base64url');
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
