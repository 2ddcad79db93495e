#!/usr/bin/env node
// http2.mjs - one application over HTTP/2 and over HTTP/1.1, for tests of everything that the two do differently
//
//   node tests/world/http2.mjs --dir DIR
//
// two.example.test speaks h2 alone, one.example.test http/1.1 alone. DIR/http2.json says where ({hosts, ca}); it ends
// when standard input does.
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makePki } from './pki.mjs';

const ACCEPT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const sleep = ms => new Promise(done => setTimeout(done, ms));

let release;	// of those whose bodies are held

async function answer(request, response) {
  const url = new URL(request.url, 'https://x');

  if (url.pathname === '/held') await new Promise(done => { release = done; });
  if (url.pathname === '/release') release?.();

  if (url.pathname === '/early') {	// before the body
    response.writeHead(403, { 'content-type': 'text/plain' });
    return response.end('no\n');
  }
  const hash = createHash('sha256');
  let bytes = 0;

  for await (const chunk of request) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  const said = JSON.stringify({ version: request.httpVersion, method: request.method, url: request.url, bytes,
    headers: request.headers, sha256: hash.digest('hex'), trailers: request.trailers });

  switch (url.pathname) {
  case '/hints':
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    return response.end(said);
  case '/trailers':
    response.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status' });
    response.write('body');
    response.addTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' });
    return response.end();
  case '/events':
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let i = 0; i < 4; i++) {
      response.write(`data: ${i} ${Date.now()}\n\n`);
      await sleep(100);
    }
    return response.end();
  case '/cut':
    response.writeHead(200, { 'content-length': 1000 });
    response.write('some');
    await sleep(50);
    return response.stream?.close ? response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR) : response.destroy();
  case '/big':
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    for (let i = 0; i < Number(url.searchParams.get('mb')) * 16; i++)
      if (!response.write(Buffer.alloc(65536, i & 255))) await new Promise(done => response.once('drain', done));
    return response.end();
  default:
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(said);
  }
}

// Frames come back unmasked, as they are: enough for a client that sends short ones.
function echo(socket) {
  let waiting = Buffer.alloc(0);

  socket.on('error', () => {});
  socket.on('data', data => {
    waiting = Buffer.concat([waiting, data]);
    for (;;) {
      if (waiting.length < 2) return;
      const long = (waiting[1] & 127) === 126, at = long ? 4 : 2;
      const n = long ? waiting.length >= 4 && waiting.readUInt16BE(2) : waiting[1] & 127;

      if (waiting.length < at + 4 + n) return;
      const payload = Buffer.from(waiting.subarray(at + 4, at + 4 + n)), mask = waiting.subarray(at, at + 4);

      for (let i = 0; i < n; i++) payload[i] ^= mask[i % 4];
      socket.write(Buffer.concat([Buffer.from(long ? [waiting[0], 126, n >> 8, n & 255] : [waiting[0], n]), payload]));
      if ((waiting[0] & 15) === 8) return socket.end();
      waiting = waiting.subarray(at + 4 + n);
    }
  });
}

function upgrade(request, socket) {
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + ACCEPT).digest('base64');

  if (request.url !== '/socket') return socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  echo(socket);
}

const listen = server => new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port)));

async function main() {
  const { values } = parseArgs({ options: { dir: { type: 'string' } } });
  const dir = resolve(values.dir);

  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { ca, tls } = makePki(dir, ['one.example.test', 'two.example.test']);
  const one = https.createServer(tls, (request, response) => answer(request, response).catch(() => {}));
  const two = http2.createSecureServer({ ...tls, ALPNProtocols: ['h2'], settings: { enableConnectProtocol: true } },
    (request, response) => answer(request, response).catch(() => {}));

  one.on('upgrade', upgrade);
  two.on('connect', request => {
    request.stream.respond({ ':status': 200 });
    echo(request.stream);
  });
  two.on('sessionError', () => {});
  const hosts = { 'one.example.test': await listen(one), 'two.example.test': await listen(two) };

  writeFileSync(join(dir, 'http2.json.new'), JSON.stringify({ hosts, ca }));
  renameSync(join(dir, 'http2.json.new'), join(dir, 'http2.json'));
  process.stdin.on('end', () => process.exit(0)).resume();
}

main();
