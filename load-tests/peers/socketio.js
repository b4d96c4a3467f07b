// Socket.IO on Node's ws: whatever comes in on the second port (length, then bytes) is emitted to
// everybody as one binary event.
const { createServer } = require('node:http');
const net = require('node:net');
const { Server } = require('socket.io');

const [port, publishPort] = process.argv.slice(2).map(Number);

const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  perMessageDeflate: false,
  serveClient: false,
});
http.listen({ host: '127.0.0.1', port, backlog: 4096 });

net
  .createServer((socket) => {
    let bytes = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
        const end = 4 + bytes.readUInt32BE(0);
        io.emit('m', bytes.subarray(4, end));
        bytes = bytes.subarray(end);
      }
    });
    // Whoever publishes goes when it likes.
    socket.on('error', () => socket.destroy());
  })
  .listen(publishPort, '127.0.0.1');
