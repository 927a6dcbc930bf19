import { createServer } from 'node:net';
import type { ListenOptions, Server, Socket } from 'node:net';
import { MessageReader, parseRequest, replyHeader } from './protocol';
import type { Request } from './protocol';

/** One connected client. */
export interface Connection {
  id: number;
  remote: string;
  isClosed: boolean;
  /** Whether it has sent its first hello, the only one in which a client may describe itself. */
  saidHello: boolean;
  /** Runs when the connection is closed. */
  whenClosed: Set<() => void>;
}

/** Answers one request with the BSON bytes of a reply. It must not throw. */
export type Handler = (request: Request, connection: Connection) => Promise<Uint8Array>;

/** A listening socket and its connections. */
export interface Listener {
  server: Server;
  /** Resolves when no client is connected. */
  unused(): Promise<void>;
  close(): Promise<void>;
}

/** Replies up to this size are copied after their header, which costs less than two writes. */
const SMALL_REPLY_BYTES = 64 * 1024;

let lastConnectionId = 0;

/** Listens on a Unix socket path or a TCP port; resolves when it accepts connections. */
export async function listen(options: ListenOptions, handler: Handler): Promise<Listener> {
  const sockets = new Set<Socket>();
  const whenUnused = new Set<() => void>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      if (sockets.size > 0) return;
      for (const resolve of whenUnused) resolve();
      whenUnused.clear();
    });
    serveConnection(socket, handler);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      // A connection that cannot be accepted for lack of file descriptors must not end the others.
      server.on('error', () => undefined);
      resolve();
    });
  });
  return {
    server,
    unused: () =>
      new Promise((resolve) => {
        if (sockets.size === 0) resolve();
        else whenUnused.add(resolve);
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serveConnection(socket: Socket, handler: Handler): void {
  const connection: Connection = {
    id: ++lastConnectionId,
    remote: socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : 'local',
    isClosed: false,
    saidHello: false,
    whenClosed: new Set(),
  };
  const reader = new MessageReader();
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    connection.isClosed = true;
    for (const end of connection.whenClosed) end();
    connection.whenClosed.clear();
  });
  const waiting: Request[] = [];
  let busy = false;
  // One request at a time for each connection, as in MongoDB: a read sees the unacknowledged write before it.
  const work = async () => {
    busy = true;
    for (let request = waiting.shift(); request; request = waiting.shift()) {
      await answer(socket, request, handler, connection);
    }
    busy = false;
  };
  socket.on('data', (chunk) => {
    try {
      for (const message of reader.push(chunk)) waiting.push(parseRequest(message));
    } catch {
      // The stream is not readable any more: close the connection, as MongoDB does.
      socket.destroy();
      return;
    }
    if (!busy) void work();
  });
}

async function answer(
  socket: Socket,
  request: Request,
  handler: Handler,
  connection: Connection,
): Promise<void> {
  const reply = await handler(request, connection);
  if (request.silent || socket.destroyed) return;
  const header = replyHeader(request, reply.length);
  if (reply.length <= SMALL_REPLY_BYTES) {
    socket.write(Buffer.concat([header, reply]));
    return;
  }
  socket.cork();
  socket.write(header);
  socket.write(reply);
  socket.uncork();
}
