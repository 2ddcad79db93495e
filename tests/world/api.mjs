// api.mjs - an HTTPS API that demands a bearer token, and misbehaves on request
//
//   GET /items, POST /items, GET|PUT|DELETE /items/N    a small collection
//   /echo            what arrived, as JSON: method, url, headers, body. It gives the token away: for tests of scrubbing
//   /echo/slow       the same, eight bytes at a time      /echo/gzip   the same, compressed, whatever was accepted
//   /basic           demands the token as a Basic password, and says whether it came
//   /slow?ms=N       answers after N ms                   /big?bytes=N   N bytes
//   /sse?n=N&ms=M    N server-sent events, M ms apart     /gzip          a compressed answer
//   /sse?n=N&heard=X the next event when GET /heard/X says that one has arrived
//   /status/NNN      that status                          /cut           a body that ends before its length
//   /redirect?to=U   302 to U                             /public        no token is needed
import zlib from 'node:zlib';
import { json, sleep, tokenOf } from './serve.mjs';

const BIG_MAX = 1024 * 1024 * 1024;

/** Until more can be written, or nothing more ever. */
const writable = response => new Promise(resolve => {
  const go = () => { response.off('drain', go).off('close', go); resolve(); };

  response.on('drain', go).on('close', go);
});

async function big(response, bytes) {
  const chunk = Buffer.alloc(64 * 1024, 'paddock.');

  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (response.destroyed) return;
    if (!response.write(left < chunk.length ? chunk.subarray(0, left) : chunk)) await writable(response);
  }
  response.end();
}

const waiting = new Map();	// name -> what goes on with its events

const heard = name => new Promise(resolve => waiting.set(name, resolve));

async function sse(response, count, ms, name) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (let n = 1; n <= count && !response.destroyed; n++) {
    response.write(`id: ${n}\ndata: ${JSON.stringify({ n, at: Date.now() })}\n\n`);
    name ? await heard(name) : await sleep(ms);
  }
  response.end();
}

async function echo(request, response, body, how) {
  const text = JSON.stringify({ method: request.method, url: request.url, headers: request.headers,
    raw_headers: request.rawHeaders, body: body.toString('latin1') });

  if (how === 'gzip') return compressed(response, text);
  if (how !== 'slow') return json(response, 200, JSON.parse(text));
  response.writeHead(200, { 'content-type': 'application/json' });
  for (let at = 0; at < text.length; at += 8) {
    response.write(text.slice(at, at + 8));
    await sleep(1);
  }
  response.end();
}

function compressed(response, text) {
  response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
  response.end(zlib.gzipSync(text));
}

function items(request, response, body, store, id) {
  if (!id && request.method === 'POST') {
    store.push({ id: store.length + 1, text: body.toString().slice(0, 1000) });
    return json(response, 201, store.at(-1));
  }
  if (!id) return json(response, 200, store);
  const at = store.findIndex(item => item.id === Number(id));

  if (at < 0) return json(response, 404, { error: 'no such item' });
  if (request.method === 'PUT') store[at].text = body.toString().slice(0, 1000);
  return json(response, 200, request.method === 'DELETE' ? store.splice(at, 1)[0] : store[at]);
}

export function api(token) {
  const store = [{ id: 1, text: 'hay' }, { id: 2, text: 'oats' }];

  return async (request, response, body) => {
    const url = new URL(request.url, 'https://api.example.test');
    const [, first, second] = url.pathname.split('/');
    const number = (name, fallback) => Number(url.searchParams.get(name) ?? fallback);

    if (first === 'public') return json(response, 200, { public: true });
    if (first === 'basic') {
      const right = tokenOf(request, 'basic') === token;
      const challenge = right ? {} : { 'www-authenticate': 'Basic realm="api"' };

      return json(response, right ? 200 : 401, { authenticated: right }, challenge);
    }
    if (tokenOf(request, 'bearer') !== token)
      return json(response, 401, { error: 'a bearer token is needed' }, { 'www-authenticate': 'Bearer' });
    switch (first) {
      case 'items': return items(request, response, body, store, second);
      case 'echo': return echo(request, response, body, second);
      case 'slow': await sleep(number('ms', 1000)); return json(response, 200, { slow: true });
      case 'big': return big(response, Math.min(number('bytes', 1048576), BIG_MAX));
      case 'sse': return sse(response, number('n', 5), number('ms', 100), url.searchParams.get('heard'));
      case 'heard': waiting.get(second)?.(); return json(response, 200, { heard: second });
      case 'gzip': return compressed(response, JSON.stringify({ compressed: true }));
      case 'status': return json(response, Number(second), { status: Number(second) });
      case 'redirect':
        response.writeHead(302, { location: url.searchParams.get('to') ?? '/items', 'content-length': 0 });
        return response.end();
      case 'cut':
        response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 1000 });
        response.write('the rest is silence');
        await sleep(50);
        return response.destroy();
      default: return json(response, 404, { error: `nothing at ${url.pathname}` });
    }
  };
}
