// grpc_client.cjs - what an agent's gRPC and WebSocket clients see; prints one JSON object
const grpc = require('@grpc/grpc-js');
const WebSocket = require('ws');
const fs = require('node:fs');

// grpc-js looks for a proxy by itself, ws is told of one
const proxy = process.env.https_proxy;
const agent = proxy && new (require('https-proxy-agent').HttpsProxyAgent)(proxy);

const same = b => b;
const client = new grpc.Client('grpc.example.test:443',
  grpc.credentials.createSsl(fs.readFileSync(process.env.SSL_CERT_FILE)), { 'grpc.max_receive_message_length': 64 << 20 });
const results = {};
const path = name => `/test.Echo/${name}`;

const unary = (text, name = 'Unary') => new Promise(done => {
  const r = {};

  client.makeUnaryRequest(path(name), same, same, Buffer.from(text), new grpc.Metadata(), {}, (e, v) => {
    Object.assign(r, e ? { code: e.code, details: e.details } : { said: v.toString() });
    setTimeout(() => done(r), 20);
  }).on('status', s => { r.trailer = s.metadata.get('seen')[0]; r.status = s.code; });
});
const gather = () => new Promise(done => {
  const call = client.makeClientStreamRequest(path('Gather'), same, same, (e, v) => done(e ? String(e) : v.toString()));

  for (let i = 0; i < 200; i++) call.write(Buffer.alloc(10000, i));
  call.end();
});
const spread = n => new Promise(done => {
  let got = 0;

  client.makeServerStreamRequest(path('Spread'), same, same, Buffer.from(String(n)))
    .on('data', () => { got++; }).on('error', e => done(String(e))).on('end', () => done(got));
});
const chat = () => new Promise(done => {
  const call = client.makeBidiStreamRequest(path('Chat'), same, same), turns = [];

  call.on('data', d => {	// each is answered before the next is sent: both ways are open at once
    turns.push(d.toString());
    turns.length < 5 ? call.write(Buffer.from(`turn ${turns.length}`)) : call.end();
  }).on('error', e => done(String(e))).on('end', () => done(turns));
  call.write(Buffer.from('turn 0'));
});

function socket(options, act) {
  return new Promise(done => {
    const r = { messages: [] }, s = new WebSocket('wss://ws.example.test/socket', ['a.v1', 'b.v2'], { agent, ...options });

    s.on('open', () => { r.protocol = s.protocol; r.extensions = s.extensions; act(s); });
    s.on('message', (data, binary) => { r.messages.push(binary ? data.length : data.toString()); act.next?.(s, r); });
    s.on('unexpected-response', (q, a) => { r.status = a.statusCode; done(r); });
    s.on('error', e => { r.error = e.message; });
    s.on('close', (code, reason) => { Object.assign(r, { code, reason: reason.toString() }); done(r); });
  });
}

async function main() {
  results.unary = await unary('hello');
  results.failed = await unary('fail');
  results.denied = await unary('x', 'Denied');
  results.gather = await gather();
  results.spread = await spread(50);
  results.chat = await chat();
  results.many = (await Promise.all(Array.from({ length: 60 }, (_, i) => unary(`n${i}`)))).filter(r => r.said).length;
  const talk = s => { s.send('one'); s.send(Buffer.alloc(300000, 7)); s.send('two'); s.ping('p'); s.send('close'); };

  results.plain = await socket({ perMessageDeflate: false }, talk);
  results.deflate = await socket({ perMessageDeflate: true }, talk);
  results.forbidden = await socket({}, s => { s.send('drop table users'); });
  console.log(JSON.stringify(results));
  process.exit(0);
}

main();
