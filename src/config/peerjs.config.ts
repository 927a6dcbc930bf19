/**
 * How the embedded PeerJS server is mounted, and what one peer may ask of it. Clients use `path: '/peerjs'` and the
 * default key. How many connections there may be is set by PEERJS_CONNECTIONS and PEERJS_PER_ADDRESS.
 */
export const peerjsConfig = {
  /** Where the HTTP side is mounted. */
  mountPath: '/peerjs',
  /** The one path of its WebSocket side: PeerJS adds its own segment to the mount path. */
  webSocketPath: '/peerjs/peerjs',
  key: 'peerjs',
  /**
   * Milliseconds without a heartbeat after which a peer is dropped. Clients send one every 5 seconds, but browsers slow
   * the timers of a hidden tab down to one a minute.
   */
  aliveTimeout: 90_000,
  /** Bytes of one frame. An SDP offer with many candidates has some 10 kB. */
  maxFrameBytes: 64 * 1024,
  /** Levels of arrays and objects in a frame. PeerJS itself uses four; `metadata` is the application's. */
  maxDepth: 32,
  /** What one connection may send in a window of so many milliseconds: a call takes some 20 frames. */
  rate: { window: 10_000, frames: 500, bytes: 4 * 1024 * 1024 },
  /** The same for all connections of one user, so that nobody gets more by connecting again. */
  userRate: { window: 10_000, frames: 2000, bytes: 16 * 1024 * 1024 },
  /**
   * How many bytes may wait for a peer that does not read, and for all peers together. A frame beyond that is answered
   * as if the peer were absent. A peer that has been full for `patience` milliseconds is disconnected.
   */
  backlog: { bytes: 512 * 1024, bytesInAll: 64 * 1024 * 1024, patience: 10_000 },
  /** How long frames wait for a peer that is absent, in milliseconds, and how many. */
  absent: {
    timeout: 5_000,
    framesPerPeer: 200,
    bytesPerPeer: 512 * 1024,
    bytesPerSender: 1024 * 1024,
    bytesInAll: 32 * 1024 * 1024,
  },
};

export type PeerLimits = Pick<
  typeof peerjsConfig,
  'aliveTimeout' | 'maxFrameBytes' | 'maxDepth' | 'rate' | 'userRate' | 'backlog' | 'absent'
>;
