import { createServer } from 'node:http';
import { Server } from 'socket.io';

/**
 * The server with which Parley is compared: Socket.IO that broadcasts messages to rooms. It requires no token, checks
 * nothing, stores nothing, and acknowledges at once.
 */
const listener = createServer();
const io = new Server(listener, { serveClient: false });

io.on('connection', (socket) => {
  void socket.join(socket.handshake.auth.channels);
  let seq = 0;
  socket.on('message:send', (message, acknowledge) => {
    const sent = { message: { ...message, seq: ++seq, createdAt: new Date().toISOString() } };
    io.to(message.channelId).emit('message:created', sent);
    acknowledge({ ok: true, data: sent });
  });
});

listener.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}`);
});
