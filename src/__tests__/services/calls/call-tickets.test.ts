import { randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { ObjectId } from 'mongodb';
import { CallTickets } from '../../../services/calls/call-tickets';
import { TokenService } from '../../../services/identity/token.service';

const SECRET = 'the secret of this server, of 32 characters or more';
const holder = {
  userId: new ObjectId(),
  sessionId: new ObjectId(),
  callId: new ObjectId(),
  peerId: 'peer-1',
};

const clock = { time: Date.parse('2026-11-30T12:00:00Z'), now: () => clock.time };
const tickets = new CallTickets(SECRET, undefined, clock);

/** The code of the error that a function throws; undefined if it throws none. */
function codeOf(action: () => unknown): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

/** Signs the claims of a valid ticket, with changes, by the key of the server. */
function forge(changes: object, key?: jwt.Secret, algorithm: jwt.Algorithm = 'HS256'): string {
  const { header, payload } = jwt.decode(tickets.issue(holder).ticket, { complete: true })!;
  const claims = JSON.parse(JSON.stringify({ ...(payload as object), ...changes })) as object;
  const signingKey = key ?? (tickets as unknown as { current: { key: jwt.Secret } }).current.key;
  return jwt.sign(claims, signingKey, { algorithm, keyid: header.kid! });
}

describe('a ticket', () => {
  it('names its holder, and is valid for five minutes', () => {
    const { ticket, ticketExpiresAt } = tickets.issue(holder);
    expect(tickets.verify(ticket)).toEqual(holder);
    expect(Date.parse(ticketExpiresAt)).toBe(clock.time + 300_000);
    const issued = clock.time;
    try {
      clock.time = issued + 304_000;
      expect(tickets.verify(ticket)).toEqual(holder);
      clock.time = issued + 305_000;
      expect(codeOf(() => tickets.verify(ticket))).toBe('ticket_expired');
    } finally {
      clock.time = issued;
    }
  });

  it('of the previous secret is accepted, of an older one not', () => {
    const { ticket } = tickets.issue(holder);
    const next = 'n'.repeat(32);
    expect(new CallTickets(next, SECRET, clock).verify(ticket)).toEqual(holder);
    expect(codeOf(() => new CallTickets(next, 'o'.repeat(32), clock).verify(ticket))).toBe('ticket_invalid');
  });

  const access = new TokenService(SECRET, undefined, 900);
  test.each([
    ['is an access token', () => access.signAccessToken({ ...holder, role: 'client' })],
    ['is a refresh token', () => access.createRefreshToken(holder.sessionId).token],
    ['is signed with the JWT secret itself', () => forge({}, SECRET)],
    ['is signed with another key', () => forge({}, randomBytes(32))],
    ['is signed with another algorithm', () => forge({}, undefined, 'HS384')],
    ['is not signed', () => forge({}, '', 'none')],
    ['is for another audience', () => forge({ aud: 'parley:access' })],
    ['comes from another issuer', () => forge({ iss: 'other' })],
    ['contains no session', () => forge({ sid: undefined })],
    ['contains no call', () => forge({ call: undefined })],
    ['contains an operator as call', () => forge({ call: { $ne: null } })],
    ['contains a peer id that PeerJS would not accept', () => forge({ peer: 'a/b' })],
    ['never expires', () => forge({ exp: undefined })],
    ['is malformed', () => 'a.b.c'],
    ['is empty', () => ''],
  ])('that %s is refused', (_what, make) => {
    expect(tickets.verify(forge({}))).toEqual(holder);
    const ticket = make();
    expect(codeOf(() => tickets.verify(ticket))).toBe('ticket_invalid');
  });

  it('is no access token', () => {
    const { ticket } = tickets.issue(holder);
    expect(codeOf(() => access.verifyAccessToken(ticket))).toBe('token_invalid');
  });
});
