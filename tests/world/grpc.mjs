#!/usr/bin/env node
// grpc.mjs - a gRPC service with all four kinds of calls, and a WebSocket server of `ws`, over TLS on loopback
//
//   node tests/world/grpc.mjs --dir DIR --modules DIR      (whose node_modules has @grpc/grpc-js and ws)
//
// DIR/grpc.json says where ({hosts, ca}); it ends when standard input does. Messages are plain bytes: what is tested is
// the way of calls, not protobuf.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import https from 'node:https';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makePki } from './pki.mjs';

const { values } = parseArgs({ options: { dir: { type: 'string' }, modules: { type: 'string' } } });
const require = createRequire(join(resolve(values.modules), 'x.js'));
const grpc = require('@grpc/grpc-js');
const { WebSocketServer } = require('ws');

const same = b => b;
const kind = (path, requestStream, responseStream) => ({ path: `/test.Echo/${path}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
export const service = { unary: kind('Unary', false, false), gather: kind('Gather', true, false),
  spread: kind('Spread', false, true), chat: kind('Chat', true, true) };

const calls = {
  unary: (call, done) => {
    if (call.request.toString() === 'fail') return done({ code: grpc.status.FAILED_PRECONDITION, details: 'as asked' });
    const trailer = new grpc.Metadata();

    trailer.set('seen', String(call.metadata.get('authorization')[0] ?? '').slice(0, 6));
    done(null, Buffer.from('echo ' + call.request), trailer);
  },
  gather: (call, done) => {
    let n = 0;

    call.on('data', d => { n += d.length; }).on('end', () => done(null, Buffer.from(String(n))));
  },
  spread: call => {
    for (let i = 0; i < Number(call.request); i++) call.write(Buffer.from(`part ${i}`));
    call.end();
  },
  chat: call => call.on('data', d => call.write(Buffer.from('re: ' + d))).on('end', () => call.end()),
};

async function main() {
  const dir = resolve(values.dir);

  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { ca, tls } = makePki(dir, ['grpc.example.test', 'ws.example.test']);
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 64 << 20 });

  server.addService(service, calls);
  const port = await new Promise((done, fail) => server.bindAsync('127.0.0.1:0',
    grpc.ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }]),
    (e, p) => (e ? fail(e) : done(p))));
  const front = https.createServer(tls);
  const sockets = new WebSocketServer({ server: front, perMessageDeflate: true, handleProtocols: all => [...all].at(-1) });

  sockets.on('connection', socket => {
    socket.on('message', (data, binary) => {
      if (!binary && data.toString() === 'close') return socket.close(4321, 'as asked');
      socket.send(binary ? data : `echo ${data}`, { binary });
    });
    socket.on('error', () => {});
  });
  await new Promise(done => front.listen(0, '127.0.0.1', done));
  writeFileSync(join(dir, 'grpc.json.new'),
    JSON.stringify({ ca, hosts: { 'grpc.example.test': port, 'ws.example.test': front.address().port } }));
  renameSync(join(dir, 'grpc.json.new'), join(dir, 'grpc.json'));
  process.stdin.on('end', () => process.exit(0)).resume();
}

main();
