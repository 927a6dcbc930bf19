import type { Socket as EngineSocket } from 'engine.io';

/** Milliseconds in which packets are counted. */
const WINDOW_MS = 10_000;

/**
 * Ends a connection that floods the server with packets, whatever they are: most never become an event, and are
 * work all the same.
 * @param onExceeded is called once, before that.
 */
export function limitPackets(conn: EngineSocket, perWindow: number, onExceeded: () => void): void {
  let count = 0;
  let windowEnd = 0;
  let exceeded = false;
  conn.on('packet', () => {
    const now = Date.now();
    if (now >= windowEnd) {
      windowEnd = now + WINDOW_MS;
      count = 0;
    }
    if (++count <= perWindow || exceeded) return;
    exceeded = true;
    onExceeded();
    conn.close(true);
  });
}
