import type { IncomingMessage } from 'node:http';
import type { Context } from '../context';
import { peerQuery } from '../models/calls/peer.model';
import type { TicketHolder } from '../services/calls/call-tickets';
import type { Authenticated } from '../services/identity/session.service';
import { AppError } from '../utils/errors';
import { addressOf } from './upgrade.router';

type Services = Pick<Context['services'], 'callTickets' | 'sessions' | 'maintenance'>;

/** Verifies the tickets of peers, and the sessions that they belong to. */
export class PeerAuthentication {
  constructor(private readonly services: Services) {}

  /**
   * Returns the holder of the ticket with which a PeerJS client opens its WebSocket: `?key=peerjs&id=…&token=…`.
   * @throws AppError unauthenticated, validation_failed, ticket_invalid, ticket_expired
   */
  readUpgrade(request: IncomingMessage): TicketHolder {
    const searchParams = addressOf(request)?.searchParams ?? new URLSearchParams();
    if (!searchParams.get('token')) throw ticketRequired();
    const query = peerQuery.safeParse(Object.fromEntries(searchParams));
    if (!query.success) {
      const issue = query.error.issues[0];
      throw new AppError('validation_failed', `${issue?.path.join('.')}: ${issue?.message}.`);
    }
    const holder = this.services.callTickets.verify(query.data.token);
    if (holder.peerId !== query.data.id) {
      throw new AppError('ticket_invalid', 'The ticket is for another peer id.');
    }
    return holder;
  }

  /**
   * Returns the holder of the ticket of an HTTP request, in its query or as `Authorization: Bearer …`.
   * @throws AppError unauthenticated, ticket_invalid, ticket_expired
   */
  readRequest(request: IncomingMessage): TicketHolder {
    const bearer = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const ticket = bearer ?? addressOf(request)?.searchParams.get('token');
    if (!ticket) throw ticketRequired();
    return this.services.callTickets.verify(ticket);
  }

  /**
   * Returns the holder of a ticket as a caller, and when the newest access token of their session expires.
   * @throws AppError session_revoked, token_expired, maintenance
   */
  async authenticate({ userId, sessionId }: TicketHolder, address: string): Promise<Authenticated> {
    const { sessions, maintenance } = this.services;
    const [caller, tokenExpiresAt] = await Promise.all([
      sessions.reauthenticate({ userId, sessionId, address }),
      sessions.latestTokenExpiry(sessionId),
    ]);
    if (!tokenExpiresAt) throw new AppError('session_revoked', 'The session has ended.');
    if (tokenExpiresAt <= new Date()) throw new AppError('token_expired', 'The access token has expired.');
    maintenance.admit(caller);
    return { caller, tokenExpiresAt };
  }
}

function ticketRequired(): AppError {
  return new AppError(
    'unauthenticated',
    'A ticket of a call is required: new Peer(peerId, {token: ticket}).',
  );
}
