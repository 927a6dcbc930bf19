import { WebSocket } from 'ws';

/** What a client is told of what it hears. */
export interface Ears {
  /** A message has been delivered; the text is the packet. */
  delivered(packet: string): void;
}

/**
 * As little of a Socket.IO client as it takes to chat over one WebSocket, so that a thousand of them cost the
 * load generator less than they cost the server. It looks at the beginning of a packet and no further.
 * https://socket.io/docs/v4/socket-io-protocol/
 */
export class LightClient {
  private nextAck = 0;
  private readonly acks = new Map<number, (answer: string) => void>();

  private constructor(
    private readonly socket: WebSocket,
    private readonly ears: Ears,
  ) {
    socket.on('message', (data: Buffer) => this.read(data));
  }

  /** Resolves once the server has let it in. */
  static connect(url: string, token: string, ears: Ears): Promise<LightClient> {
    const address = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
    const socket = new WebSocket(address, { perMessageDeflate: false });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('message', () => {
        socket.send(`40${JSON.stringify({ token })}`);
        socket.once('message', (data: Buffer) => {
          const answer = data.toString('latin1');
          if (answer.startsWith('40')) resolve(new LightClient(socket, ears));
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

  close(): void {
    this.socket.removeAllListeners('message');
    this.socket.close();
  }

  private read(data: Buffer): void {
    // Engine.IO says what it is in the first byte: 2 is a ping, 4 a packet of Socket.IO.
    if (data[0] === 0x32) {
      this.socket.send('3');
      return;
    }
    const packet = data.toString('latin1');
    if (packet.startsWith('42["message:created"')) this.ears.delivered(packet);
    else if (packet.startsWith('43')) {
      const id = Number.parseInt(packet.slice(2), 10);
      const settle = this.acks.get(id);
      this.acks.delete(id);
      settle?.(packet.slice(2 + String(id).length));
    }
  }
}
