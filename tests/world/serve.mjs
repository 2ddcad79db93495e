// serve.mjs - what all servers of the world share: they listen on loopback, read a request's body, write it down
import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const BODY_MAX = 256 * 1024 * 1024;

/** One JSON line a call, on disk before anything is answered. */
export function journal(path) {
  return entry => appendFileSync(path, JSON.stringify({ time: new Date().toISOString(), ...entry }) + '\n');
}

async function readBody(request) {
  const chunks = [];
  let bytes = 0;

  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_MAX) throw new Error('body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const listen = (server, port = 0) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, '127.0.0.1', () => resolve(server.address().port));
});

/**
 * Starts `handler(request, response, body)` on a free port; with `tls` over HTTPS. Each request is one entry of the
 * journal, also one that broke off: {service, method, host, url, headers, bytes, sha256, aborted}. `socket(request,
 * socket, head)` takes WebSockets, or returns false.
 */
export async function serve({ service, tls, log, handler, socket: takes }) {
  const answer = async (request, response) => {
    const entry = {
      service, id: randomUUID(), tls: tls ? request.socket.getProtocol() : null, arrived: new Date().toISOString(),
      method: request.method, host: request.headers.host, url: request.url, headers: request.headers,
    };
    let body;

    try {
      body = await readBody(request);
    } catch (error) {
      log({ ...entry, aborted: true, error: error.code ?? error.message });
      return response.destroy();
    }
    log({ ...entry, bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') });
    try {
      await handler(request, response, body);
    } catch (error) {
      log({ service, id: entry.id, failed: String(error.stack) });
      response.headersSent ? response.destroy() : json(response, 500, { error: String(error.message) });
    }
  };
  const server = tls ? https.createServer(tls, answer) : http.createServer(answer);

  server.on('tlsClientError', error => log({ service, tls_error: error.code ?? error.message }));
  server.on('upgrade', (request, socket, head) => {
    log({ service, arrived: new Date().toISOString(), method: request.method, host: request.headers.host, url: request.url,
      headers: request.headers, upgrade: request.headers.upgrade });
    if (takes?.(request, socket, head)) return;
    socket.end('HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
  });
  return { port: await listen(server), close: () => { server.close(); server.closeAllConnections?.(); } };
}

export function json(response, status, value, headers = {}) {
  const text = Buffer.from(JSON.stringify(value) + '\n');

  response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length, ...headers });
  response.end(text);
}

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/** The token of an Authorization header of this scheme, or undefined. Basic: the password. */
export function tokenOf(request, scheme) {
  const [kind, value = ''] = (request.headers.authorization ?? '').split(' ');

  if (kind.toLowerCase() !== scheme) return undefined;
  return scheme === 'basic' ? Buffer.from(value, 'base64').toString().split(':').slice(1).join(':') : value;
}
