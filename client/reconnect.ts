/** The part of a manager of socket.io-client that sets when it reconnects. The times are in milliseconds. */
export interface ReconnectSettings {
  reconnectionDelay(): number | undefined;
  reconnectionDelay(value: number | undefined): unknown;
  reconnectionDelayMax(): number | undefined;
  reconnectionDelayMax(value: number | undefined): unknown;
  randomizationFactor(): number | undefined;
  randomizationFactor(value: number | undefined): unknown;
}

/** The part of a socket of socket.io-client that `followClosing` uses. */
export interface ClosingSocket {
  io: ReconnectSettings;
  on(event: 'connect', listener: () => void): unknown;
  on(event: 'server:closing', listener: (payload: { reconnectAfter: number }) => void): unknown;
}

/** The first attempts may fail while a single server restarts. Later ones wait no longer than this. */
const LONGEST_DELAY_MS = 5000;

/**
 * Reconnects at the time that a closing server gives to this client, so that not all clients reconnect at once. The server
 * closes the connection itself, as soon as it has answered what it has received. Until then everything works, except
 * that some events are refused with `unavailable`: these are sent again over the next connection.
 */
export function followClosing(socket: ClosingSocket): void {
  const { io: manager } = socket;
  let usual: [number | undefined, number | undefined, number | undefined] | undefined;
  socket.on('server:closing', ({ reconnectAfter }) => {
    usual ??= [manager.reconnectionDelay(), manager.reconnectionDelayMax(), manager.randomizationFactor()];
    manager.reconnectionDelay(reconnectAfter);
    manager.reconnectionDelayMax(Math.max(reconnectAfter, LONGEST_DELAY_MS));
    manager.randomizationFactor(0);
  });
  socket.on('connect', () => {
    if (!usual) return;
    manager.reconnectionDelay(usual[0]);
    manager.reconnectionDelayMax(usual[1]);
    manager.randomizationFactor(usual[2]);
    usual = undefined;
  });
}
