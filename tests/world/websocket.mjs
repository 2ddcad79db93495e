// websocket.mjs - the server's side of a WebSocket, enough for tests: whole messages, fragments joined, no extensions
import { createHash } from 'node:crypto';

const ACCEPT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function header(opcode, n) {
  if (n < 126) return Buffer.from([0x80 | opcode, n]);
  const long = Buffer.alloc(n < 65536 ? 4 : 10);

  long[0] = 0x80 | opcode;
  long[1] = n < 65536 ? 126 : 127;
  n < 65536 ? long.writeUInt16BE(n, 2) : long.writeBigUInt64BE(BigInt(n), 2);
  return long;
}

/** One frame at the front of `b`: {opcode, last, payload, size}, or null while it is not whole. */
function frame(b) {
  if (b.length < 2) return null;
  const short = b[1] & 127, at = short === 126 ? 4 : short === 127 ? 10 : 2;

  if (b.length < at) return null;
  const n = short === 126 ? b.readUInt16BE(2) : short === 127 ? Number(b.readBigUInt64BE(2)) : short;

  if (b.length < at + 4 + n) return null;
  const payload = Buffer.from(b.subarray(at + 4, at + 4 + n));

  for (let i = 0; i < n; i++) payload[i] ^= b[at + (i & 3)];
  return { opcode: b[0] & 15, last: b[0] & 128, payload, size: at + 4 + n };
}

/** Grants the handshake; `onMessage(text, send)` for each text message, `send(text)` answers. */
export function accept(request, socket, head, onMessage) {
  const key = createHash('sha1').update(request.headers['sec-websocket-key'] + ACCEPT).digest('base64');
  const put = (opcode, payload) => socket.write(Buffer.concat([header(opcode, payload.length), payload]));
  let waiting = head ?? Buffer.alloc(0), parts = [];

  socket.on('error', () => {});
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${key}\r\n\r\n`);
  const feed = data => {
    waiting = Buffer.concat([waiting, data]);
    for (let f; (f = frame(waiting)); waiting = waiting.subarray(f.size)) {
      if (f.opcode === 8) { put(8, f.payload); return socket.end(); }
      if (f.opcode === 9) { put(10, f.payload); continue; }
      if (f.opcode > 2) continue;
      parts.push(f.payload);
      if (f.last) onMessage(Buffer.concat(parts.splice(0)).toString(), text => put(1, Buffer.from(text)));
    }
  };

  socket.on('data', feed);
  feed(Buffer.alloc(0));
}
