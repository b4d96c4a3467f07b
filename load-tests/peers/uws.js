// uWebSockets, as Bun has it inside: every viewer subscribes to one topic, and whatever comes in on
// the second port (length, then bytes) is published to it. Nothing else: this is the fastest
// WebSocket server there is, doing the least.
const [port, publishPort] = process.argv.slice(2).map(Number);

const server = Bun.serve({
  hostname: '127.0.0.1',
  port,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response('WebSocket only', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe('room');
    },
    message() {},
  },
});

Bun.listen({
  hostname: '127.0.0.1',
  port: publishPort,
  socket: {
    open(socket) {
      socket.data = Buffer.alloc(0);
    },
    data(socket, chunk) {
      let bytes = Buffer.concat([socket.data, chunk]);
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
        const end = 4 + bytes.readUInt32BE(0);
        server.publish('room', bytes.subarray(4, end));
        bytes = bytes.subarray(end);
      }
      socket.data = bytes;
    },
  },
});
