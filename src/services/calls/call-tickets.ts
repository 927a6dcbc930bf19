import jwt from 'jsonwebtoken';
import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { peerIdSchema } from '../../models/calls/peer.model';
import { deriveEncryptionKey, type EncryptionKey } from '../../utils/encryption';
import { AppError } from '../../utils/errors';
import type { Clock } from '../kernel/background-job';

const ALGORITHM = 'HS256';
const ISSUER = 'parley';
const AUDIENCE = 'parley:call';
/** How long a ticket is valid. It is used at once; a client that reconnects later requests a new one. */
const TICKET_SECONDS = 300;
/** By how much the clocks of two nodes may differ. */
const CLOCK_SKEW_SECONDS = 5;

const hexId = z.string().regex(/^[0-9a-f]{24}$/);
const claimsSchema = z.object({ sub: hexId, sid: hexId, call: hexId, peer: peerIdSchema, exp: z.number() });

export type TicketOutcome = 'issued' | 'accepted' | 'expired' | 'invalid';

/** What a ticket is bound to: a device of a user that has joined a call, and its peer id. */
export interface TicketHolder {
  userId: ObjectId;
  sessionId: ObjectId;
  callId: ObjectId;
  peerId: string;
}

/**
 * Issues and verifies the tickets with which clients connect to the PeerJS server. A ticket is a JWT that is signed with
 * a key of its own, so no access token is a ticket, and no ticket is an access token.
 */
export class CallTickets {
  private readonly current: EncryptionKey;
  /** By key id: the current key, and the key of the previous secret, whose tickets are still accepted. */
  private readonly keys: ReadonlyMap<string, EncryptionKey>;

  constructor(
    jwtSecret: string,
    previousJwtSecret: string | undefined,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly record: (outcome: TicketOutcome) => void = () => undefined,
  ) {
    this.current = deriveEncryptionKey(jwtSecret, 'call tickets');
    const previous =
      previousJwtSecret === undefined ? [] : [deriveEncryptionKey(previousJwtSecret, 'call tickets')];
    this.keys = new Map([...previous, this.current].map((key) => [key.id, key]));
  }

  /** Returns a new ticket, and when it expires, as an ISO 8601 time. */
  issue({ userId, sessionId, callId, peerId }: TicketHolder): { ticket: string; ticketExpiresAt: string } {
    const issuedAt = this.nowSeconds();
    const claims = { sid: sessionId.toHexString(), call: callId.toHexString(), peer: peerId, iat: issuedAt };
    const ticket = jwt.sign(claims, this.current.key, {
      algorithm: ALGORITHM,
      keyid: this.current.id,
      issuer: ISSUER,
      audience: AUDIENCE,
      subject: userId.toHexString(),
      expiresIn: TICKET_SECONDS,
    });
    this.record('issued');
    return { ticket, ticketExpiresAt: new Date((issuedAt + TICKET_SECONDS) * 1000).toISOString() };
  }

  /**
   * Verifies a ticket and returns its holder. Whether the session is still valid, and whether the user is still in the
   * call, is not checked here.
   * @throws AppError ticket_expired, ticket_invalid
   */
  verify(ticket: string): TicketHolder {
    try {
      const keyId = jwt.decode(ticket, { complete: true })?.header.kid;
      const known = this.keys.get(keyId ?? '');
      if (known === undefined) throw new jwt.JsonWebTokenError('unknown key');
      const verified = jwt.verify(ticket, known.key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        clockTimestamp: this.nowSeconds(),
        clockTolerance: CLOCK_SKEW_SECONDS,
      });
      const { sub, sid, call, peer } = claimsSchema.parse(verified);
      this.record('accepted');
      return {
        userId: new ObjectId(sub),
        sessionId: new ObjectId(sid),
        callId: new ObjectId(call),
        peerId: peer,
      };
    } catch (error) {
      const isExpired = error instanceof jwt.TokenExpiredError;
      this.record(isExpired ? 'expired' : 'invalid');
      if (isExpired) {
        throw new AppError('ticket_expired', 'The ticket has expired. Join the call again for a new one.');
      }
      throw new AppError('ticket_invalid', 'The ticket is not valid.');
    }
  }

  private nowSeconds(): number {
    return Math.floor(this.clock.now() / 1000);
  }
}
