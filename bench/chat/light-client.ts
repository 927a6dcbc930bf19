import { WebSocket } from 'ws';

/** The callbacks of a client. */
export interface Listener {
  /** A message has been delivered; the text is the packet. */
  delivered(packet: string): void;
  /** The server has closed the connection. */
  lost(error: Error): void;
}

/**
 * A minimal Socket.IO client over one WebSocket, so that a thousand of them cost the load generator less than they cost
 * the server. It reads only the beginning of a packet. https://socket.io/docs/v4/socket-io-protocol/
 */
export class LightClient {
  private nextAck = 0;
  private readonly acks = new Map<number, (answer: string) => void>();

  private constructor(
    private readonly socket: WebSocket,
    private readonly listener: Listener,
  ) {
    socket.on('message', (data: Buffer) => this.read(data));
    socket.on('close', (code) => listener.lost(new Error(`The server closed a connection with ${code}.`)));
  }

  /** Resolves when the server has accepted the connection. @param handshake what it sends as `auth`. */
  static connect(url: string, handshake: object, listener: Listener): Promise<LightClient> {
    const address = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
    const socket = new WebSocket(address, { perMessageDeflate: false });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('message', () => {
        socket.send(`40${JSON.stringify(handshake)}`);
        socket.once('message', (data: Buffer) => {
          const answer = data.toString('latin1');
          if (answer.startsWith('40')) resolve(new LightClient(socket, listener));
          else reject(new Error(`The server refused a client: ${answer}`));
        });
      });
    });
  }

  /** Sends an event. @returns its acknowledgement as JSON text. */
  ask(event: string, payload: unknown): Promise<string> {
    const id = this.nextAck++;
    return new Promise((resolve) => {
      this.acks.set(id, resolve);
      this.socket.send(`42${id}${JSON.stringify([event, payload])}`);
    });
  }

  private read(data: Buffer): void {
    // The first byte is the type of an Engine.IO packet: 2 is a ping, 4 a packet of Socket.IO.
    if (data[0] === 0x32) {
      this.socket.send('3');
      return;
    }
    const packet = data.toString('latin1');
    if (packet.startsWith('42["message:created"')) this.listener.delivered(packet);
    else if (packet.startsWith('43')) {
      const id = Number.parseInt(packet.slice(2), 10);
      const settle = this.acks.get(id);
      this.acks.delete(id);
      settle?.(packet.slice(2 + String(id).length));
    }
  }
}
