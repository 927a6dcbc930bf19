import type { Socket as EngineSocket } from 'engine.io';

/** The length of the window in which packets are counted. */
const WINDOW_MS = 10_000;

/**
 * Closes a connection that floods the server with packets of any type: those that never become an event also cost
 * processing time.
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
