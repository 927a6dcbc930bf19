/** How many calls one address may make in a window. Calls that name the same throttle count together. */
export interface Throttle {
  name: ThrottleName;
  calls: number;
  /** The length of the window. */
  seconds: number;
}

export type ThrottleName = 'login' | 'register' | 'refresh' | 'reset' | 'upload' | 'connect';

/**
 * The limits per address. Generous, because an office or a school shares an address; they bound what a flood costs.
 * Guessing at one account is slowed down by services/operations/throttle.service.ts.
 */
export const THROTTLES: { readonly [Name in ThrottleName]: Throttle } = {
  login: { name: 'login', calls: 300, seconds: 600 },
  register: { name: 'register', calls: 600, seconds: 600 },
  refresh: { name: 'refresh', calls: 1200, seconds: 600 },
  /** All that sends mail to an address, or takes a token out of a mail. */
  reset: { name: 'reset', calls: 60, seconds: 600 },
  upload: { name: 'upload', calls: 300, seconds: 600 },
  /** Connections of Socket.IO and PeerJS. */
  connect: { name: 'connect', calls: 3000, seconds: 60 },
};
