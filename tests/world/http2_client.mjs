// http2_client.mjs - what an agent's HTTP/2 client sees; prints one JSON object
//
//   node http2_client.mjs HOST [socket]	(socket: nothing but a WebSocket over HTTP/1.1; what came of it)
import { createHash } from 'node:crypto';
import http2 from 'node:http2';
import https from 'node:https';

const [, , host, only] = process.argv;
const session = only ? null : http2.connect(`https://${host}`);
const results = {};

session?.on('error', error => { results.session = String(error); });

/** One request; {status, body, hints, trailers, code, error} */
function ask(headers, body, trailers) {
  return new Promise(done => {
    const r = { times: [] }, stream = session.request(headers, { endStream: body === undefined, waitForTrailers: !!trailers });

    stream.setEncoding('latin1');
    stream.on('headers', h => { r.hints = h[':status']; });
    stream.on('response', h => { r.status = h[':status']; });
    stream.on('trailers', h => { r.trailers = { ...h }; });
    stream.on('data', d => { r.body = (r.body ?? '') + d; r.times.push(Date.now()); });
    stream.on('error', e => { r.error = e.message; });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.on('close', () => { r.code = stream.rstCode; done(r); });
    if (body !== undefined && body !== null) stream.end(body);
  });
}

function frame(text) {
  const payload = Buffer.from(text), mask = Buffer.from([1, 2, 3, 4]);

  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload.map((b, i) => b ^ mask[i % 4])]);
}

const talk = (socket, done) => {
  let got = Buffer.alloc(0);

  socket.on('data', d => { got = Buffer.concat([got, d]); });
  socket.on('error', () => {});
  socket.on('close', () => done(got.toString('latin1')));
  socket.write(frame('hello'));
  socket.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]));	// close, 1000
};

const socketOverHttp2 = () => new Promise(done => {
  const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/socket',
    ':scheme': 'https', ':authority': host, 'sec-websocket-version': '13' });

  stream.on('response', h => (h[':status'] === 200 ? talk(stream, done) : done(`status ${h[':status']}`)));
  stream.on('error', e => done(e.message));
});

const socketOverHttp1 = () => new Promise(done => {
  const key = 'dGhlIHNhbXBsZSBub25jZQ==';
  const request = https.request(`https://${host}/socket`, { headers: { connection: 'Upgrade', upgrade: 'websocket',
    'sec-websocket-key': key, 'sec-websocket-version': '13' } });

  request.on('upgrade', (response, socket) => {
    const accept = createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');

    response.headers['sec-websocket-accept'] === accept ? talk(socket, done) : done('accept');
  });
  request.on('response', response => done(`status ${response.statusCode}`));
  request.on('error', e => done(e.message));
  request.end();
});

if (only === 'socket') {
  console.log(await socketOverHttp1());
  process.exit(0);
}
const big = Buffer.alloc(5 * 1024 * 1024, 'p');

results.get = await ask({ ':path': '/get?a=b', te: 'trailers' });
results.post = await ask({ ':path': '/post', ':method': 'POST' }, big, { 'x-sum': '7' });
results.sent = createHash('sha256').update(big).digest('hex');
results.hints = await ask({ ':path': '/hints' });
results.trailers = await ask({ ':path': '/trailers', ':method': 'POST' }, 'x');
results.events = await ask({ ':path': '/events' });
results.early = await ask({ ':path': '/early', ':method': 'POST' }, null);
results.cut = await ask({ ':path': '/cut' });
results.denied = await ask({ ':path': '/denied', ':method': 'DELETE' });
results.other = await ask({ ':path': '/', ':authority': 'else.example.test' });
results.many = (await Promise.all(Array.from({ length: 80 }, (_, i) => ask({ ':path': `/many/${i}` }))))
  .filter((r, i) => r.status === 200 && JSON.parse(r.body).url === `/many/${i}`).length;
results.big = await ask({ ':path': '/big?mb=8' });
results.big = { status: results.big.status, bytes: results.big.body?.length };
await new Promise(done => (session.remoteSettings?.enableConnectProtocol ? done() : session.once('remoteSettings', done)));
results.socket2 = await socketOverHttp2();
results.socket1 = await socketOverHttp1();
session.close();
console.log(JSON.stringify(results));
process.exit(0);
