import type { SessionDocument, SpentToken } from '../../models/identity/session.model';
import {
  deriveEncryptionKey,
  decrypt,
  encrypt,
  DecryptionError,
  type EncryptionKey,
} from '../../utils/encryption';
import { hashToken } from './token.service';

/** For how long an exchanged refresh token may be presented again. */
const REUSE_INTERVAL_MS = 10_000;

/**
 * Allows a refresh token that was just exchanged to be presented again, by a second tab or after a lost answer: it yields
 * the same successor (docs/decisions/0033-refresh-token-reuse-interval.md). The successor is stored encrypted, so that
 * reading it requires both the spent token and the server's key.
 */
export class RefreshGrace {
  /** @param secret the secret of the server, the same on all nodes. */
  constructor(private readonly secret: string) {}

  /** Returns what a session stores about a token that is exchanged. */
  spend(token: string, successor: string, spentAt: Date): SpentToken {
    const hash = hashToken(token);
    return { hash, spentAt, successor: encrypt(this.deriveKey(token), successor, hash) };
  }

  /**
   * Returns the token that a spent token was exchanged for, if the spent one may be presented again: the reuse interval
   * has not ended, and the successor has not been exchanged itself (a session stores only the last spent token).
   */
  successorOf(
    token: string,
    { spentToken }: Pick<SessionDocument, 'spentToken'>,
    now: Date,
  ): string | undefined {
    if (spentToken?.hash !== hashToken(token)) return undefined;
    if (now.getTime() - spentToken.spentAt.getTime() >= REUSE_INTERVAL_MS) return undefined;
    try {
      return decrypt(this.deriveKey(token), spentToken.successor, spentToken.hash);
    } catch (error) {
      // ENCRYPTION_KEY was changed within the interval.
      if (error instanceof DecryptionError) return undefined;
      throw error;
    }
  }

  private deriveKey(token: string): EncryptionKey {
    return deriveEncryptionKey(`${this.secret}\n${token}`, 'successor of a refresh token');
  }
}
