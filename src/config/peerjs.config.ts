/**
 * Paths and limits of the embedded PeerJS server. Clients use `path: '/peerjs'` and the
 * default key. PEERJS_CONNECTIONS and PEERJS_PER_ADDRESS limit the
 * connections.
 */
export const peerjsConfig = {
  /** The mount path of its HTTP interface. */
  mountPath: '/peerjs',
  /** The path of its WebSocket: PeerJS appends a segment of its own to the mount path. */
  webSocketPath: '/peerjs/peerjs',
  /** The path at which clients get the id of their ticket over HTTP. */
  idPath: '/peerjs/peerjs/id',
  key: 'peerjs',
  /**
   * Milliseconds without a heartbeat after which a peer is dropped. Clients send one every 5 seconds, but browsers slow
   * the timers of a hidden tab down to one a minute.
   */
  aliveTimeoutMs: 90_000,
  /** The largest frame in bytes. An SDP offer with many candidates has about 10 kB. */
  maxFrameBytes: 64 * 1024,
  /** The deepest nesting of a frame. PeerJS itself uses four levels; `metadata` belongs to the application. */
  maxDepth: 32,
  /** What one connection may send in a window of milliseconds: a call takes about 20 frames. */
  rate: { windowMs: 10_000, frames: 500, bytes: 4 * 1024 * 1024 },
  /** The same for all connections of one user, so that reconnecting gives no more. */
  userRate: { windowMs: 10_000, frames: 2000, bytes: 16 * 1024 * 1024 },
  /**
   * How many bytes may wait for a peer that does not read, and for all peers together. A frame beyond that is answered
   * as if the peer were absent. A peer that has been full for `timeoutMs` is disconnected.
   */
  backlog: { bytes: 512 * 1024, bytesInAll: 64 * 1024 * 1024, timeoutMs: 10_000 },
  /** How long frames wait for a peer that is absent, in milliseconds, and how many. */
  absent: {
    timeoutMs: 5_000,
    framesPerPeer: 200,
    bytesPerPeer: 512 * 1024,
    bytesPerSender: 1024 * 1024,
    bytesInAll: 32 * 1024 * 1024,
  },
};

export type PeerLimits = Pick<
  typeof peerjsConfig,
  'aliveTimeoutMs' | 'maxFrameBytes' | 'maxDepth' | 'rate' | 'userRate' | 'backlog' | 'absent'
>;
