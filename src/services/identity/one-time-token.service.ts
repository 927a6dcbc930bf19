import { randomBytes } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { OneTimeTokenDocument } from '../../models/identity/one-time-token.model';
import { AppError } from '../../utils/errors';
import { hashToken } from './token.service';

type Kind = OneTimeTokenDocument['kind'];

/** How long a mailed token is valid. */
const LIFETIME_MS: Record<Kind, number> = {
  reset_password: 3600_000,
  verify_email: 24 * 3600_000,
  stop_email_change: 72 * 3600_000,
};

/** Creates and redeems tokens that are sent by mail and can be used once. Only their hash is stored. */
export class OneTimeTokenService {
  constructor(private readonly collections: Collections) {}

  /**
   * Creates a token and invalidates earlier ones of the same kind for the user. Tokens of the kind `stop_email_change` are
   * kept per address: a second change of the address must not invalidate the link of the first address's owner.
   */
  async create(kind: Kind, userId: ObjectId, email: string): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    const before = { userId, kind, ...(kind === 'stop_email_change' && { email }) };
    await this.collections.oneTimeTokens.deleteMany(before);
    await this.collections.oneTimeTokens.insertOne({
      _id: new ObjectId(),
      kind,
      userId,
      email,
      hash: hashToken(token),
      expiresAt: new Date(Date.now() + LIFETIME_MS[kind]),
    });
    return token;
  }

  /** Checks a token without spending it. @throws AppError one_time_token_invalid */
  async requireValid(kind: Kind, token: string): Promise<void> {
    if (!(await this.collections.oneTimeTokens.findOne(validToken(kind, token)))) throw invalidToken();
  }

  /** Spends a token. @throws AppError one_time_token_invalid */
  async redeem(kind: Kind, token: string): Promise<OneTimeTokenDocument> {
    const found = await this.collections.oneTimeTokens.findOneAndDelete(validToken(kind, token));
    if (!found) throw invalidToken();
    return found;
  }
}

function validToken(kind: Kind, token: string) {
  return { hash: hashToken(token), kind, expiresAt: { $gt: new Date() } };
}

function invalidToken(): AppError {
  return new AppError('one_time_token_invalid', 'The link is not valid, was used or has expired.');
}
