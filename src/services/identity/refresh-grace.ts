import type { SessionDocument, SpentToken } from '../../models/identity/session.model';
import { deriveSealingKey, open, seal, SealedBoxError, type SealingKey } from '../../utils/sealed-box';
import { hashToken } from './token.service';

/** Milliseconds for which an exchanged refresh token may be presented again. */
const GRACE = 10_000;

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
    return { hash, spentAt, successor: seal(this.keyOf(token), successor, hash) };
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
    if (now.getTime() - spentToken.spentAt.getTime() >= GRACE) return undefined;
    try {
      return open(this.keyOf(token), spentToken.successor, spentToken.hash);
    } catch (error) {
      // ENCRYPTION_KEY was changed in these seconds.
      if (error instanceof SealedBoxError) return undefined;
      throw error;
    }
  }

  private keyOf(token: string): SealingKey {
    return deriveSealingKey(`${this.secret}\n${token}`, 'successor of a refresh token');
  }
}
