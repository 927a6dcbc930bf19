import type { SessionDocument, SpentToken } from '../../models/identity/session.model';
import {
  deriveEncryptionKey,
  decrypt,
  encrypt,
  DecryptionError,
  type EncryptionKey,
} from '../../utils/encryption';
import { hashToken } from './token.service';

/** Milliseconds for which an exchanged refresh token may be presented again. */
const REUSE_INTERVAL_MS = 10_000;

/**
 * Lets a refresh token that was just exchanged be presented again, by a second tab or after a lost answer, for the same
 * successor (docs/decisions/0033-refresh-token-reuse-interval.md). The successor is stored so that only somebody who holds the spent
 * token can read it, and only with the server's key.
 */
export class RefreshGrace {
  /** @param secret of the server; the same on all nodes. */
  constructor(private readonly secret: string) {}

  /** What a session stores about a token that is exchanged. */
  spend(token: string, successor: string, spentAt: Date): SpentToken {
    const hash = hashToken(token);
    return { hash, spentAt, successor: encrypt(this.deriveKey(token), successor, hash) };
  }

  /**
   * What a spent token was exchanged for, if it may be presented again: its grace has not ended, and its successor has
   * not been exchanged itself (the session stores the last spent token only).
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
      // ENCRYPTION_KEY was changed in these seconds.
      if (error instanceof DecryptionError) return undefined;
      throw error;
    }
  }

  private deriveKey(token: string): EncryptionKey {
    return deriveEncryptionKey(`${this.secret}\n${token}`, 'successor of a refresh token');
  }
}
