/** The number of calls that one address may make in a window. Calls to routes with the same throttle count together. */
export interface Throttle {
  name: ThrottleName;
  calls: number;
  /** The length of the window in seconds. */
  seconds: number;
}

export type ThrottleName = 'login' | 'register' | 'refresh' | 'reset' | 'upload' | 'connect';

/**
 * The limits per address. They bound the cost of a flood, and are generous because an office or a school shares an
 * address. services/operations/throttle.service.ts slows down guessing the password of one account.
 */
export const THROTTLES: { readonly [Name in ThrottleName]: Throttle } = {
  login: { name: 'login', calls: 300, seconds: 600 },
  register: { name: 'register', calls: 600, seconds: 600 },
  refresh: { name: 'refresh', calls: 1200, seconds: 600 },
  /** All routes that send mail to an address, or take a token from a mail. */
  reset: { name: 'reset', calls: 60, seconds: 600 },
  upload: { name: 'upload', calls: 300, seconds: 600 },
  /** Connections of Socket.IO and PeerJS. */
  connect: { name: 'connect', calls: 3000, seconds: 60 },
};
