import type { Socket as EngineSocket } from 'engine.io';
import { encodeFrame, FrameTransport } from './frame-transport';

/** The packet types of an event: of the Engine.IO protocol (message) and of the Socket.IO protocol (event). */
const ENGINE_MESSAGE = '4';
const SOCKET_EVENT = '2';

/** An event of the default namespace, which is encoded once for all of its recipients. */
export class EncodedEvent {
  private encoded: { text: string; frame?: Buffer } | undefined;

  /** @param payload JSON without binary data. */
  constructor(
    private readonly name: string,
    private readonly payload: unknown,
  ) {}

  /** Sends it to an open connection, after everything that was sent to it before. */
  sendTo(conn: EngineSocket): void {
    if (conn.readyState !== 'open') return;
    this.encoded ??= { text: SOCKET_EVENT + JSON.stringify([this.name, this.payload]) };
    const { encoded } = this;
    const { transport } = conn;
    if (transport instanceof FrameTransport) {
      transport.queue((encoded.frame ??= encodeFrame(ENGINE_MESSAGE + encoded.text)));
    } else conn.write(encoded.text);
  }
}
