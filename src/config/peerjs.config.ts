/** How the embedded PeerJS server is mounted. Clients use `path: '/peerjs'` and the default key. */
export const peerjsConfig = {
  /** Where the HTTP side is mounted. */
  mountPath: '/peerjs',
  /** The one path of its WebSocket side: PeerJS adds its own segment to the mount path. */
  webSocketPath: '/peerjs/peerjs',
  key: 'peerjs',
  /** Peers that have registered at once. */
  concurrentLimit: 5000,
  /** Milliseconds without a heartbeat after which a peer is dropped. */
  aliveTimeout: 90_000,
  /** Milliseconds that a message waits for a peer that is not there. */
  expireTimeout: 5_000,
  /** Bytes of one signalling message. An SDP offer with many candidates has some 10 kB. */
  maxPayload: 64 * 1024,
} as const;
