// sink.mjs - UDP and TCP sockets where nothing should ever arrive; what does is written down
import dgram from 'node:dgram';
import net from 'node:net';

const entry = (protocol, from, port, data) => ({
  protocol, from: `${from}:${port}`, bytes: data.length, start: data.subarray(0, 128).toString('base64'),
});

export async function sink(log) {
  const udp = dgram.createSocket('udp4');
  const tcp = net.createServer(socket => {
    log({ ...entry('tcp', socket.remoteAddress, socket.remotePort, Buffer.alloc(0)), connected: true });
    socket.on('data', data => log(entry('tcp', socket.remoteAddress, socket.remotePort, data)));
    socket.on('error', () => {});
  });

  udp.on('message', (data, from) => log(entry('udp', from.address, from.port, data)));
  await new Promise(resolve => udp.bind(0, '127.0.0.1', resolve));
  await new Promise(resolve => tcp.listen(0, '127.0.0.1', resolve));
  return { udp: udp.address().port, tcp: tcp.address().port, close: () => { udp.close(); tcp.close(); } };
}
