import { randomBytes } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { OneTimeTokenDocument } from '../../models/identity/one-time-token.model';
import { AppError } from '../../utils/errors';
import { hashToken } from './token.service';

type Kind = OneTimeTokenDocument['kind'];

/** How long a mailed token is good, in milliseconds. */
const LIFETIME_MS: Record<Kind, number> = {
  reset_password: 3600_000,
  verify_email: 24 * 3600_000,
  stop_email_change: 72 * 3600_000,
};

/** Tokens that go out by mail and are good once. Only their hash is stored. */
export class OneTimeTokenService {
  constructor(private readonly collections: Collections) {}

  /**
   * Makes a token; those of the same kind that the user had before are void. Only of `stop_email_change` each address
   * has its own: whoever changes the address a second time must not take the link from the owner of the first one.
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

  /** Checks a token and leaves it good. @throws AppError one_time_token_invalid */
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
