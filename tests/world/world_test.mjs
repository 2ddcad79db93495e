// world_test.mjs - the world, by the clients that it is made for:   node --test tests/world/
//
// The clients reach it through a CONNECT proxy that maps names to ports, as Paddock's --resolve does.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';

let dir, child, world, proxy, proxyUrl;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'world-'));
  child = spawn(process.execPath, [fileURLToPath(new URL('world.mjs', import.meta.url)), '--dir', dir, '--ready-fd', '3'],
    { stdio: ['pipe', 'inherit', 'inherit', 'pipe'] });
  await new Promise((resolve, reject) => { child.stdio[3].once('data', resolve); child.once('exit', reject); });
  world = JSON.parse(readFileSync(join(dir, 'world.json')));
  proxy = http.createServer().on('connect', (request, client) => {
    const upstream = net.connect(world.hosts[request.url.split(':')[0]] ?? 1, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });

    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
  });
  await new Promise(resolve => proxy.listen(0, '127.0.0.1', resolve));
  proxyUrl = `http://127.0.0.1:${proxy.address().port}`;
});

after(async () => {
  const ended = new Promise(resolve => child.once('exit', resolve));

  child.stdin.end();	// the world ends with its standard input
  assert.equal(await ended, 0);
  proxy.close();
  rmSync(dir, { recursive: true });
});

function run(program, args, options = {}) {
  const trust = ['SSL_CERT_FILE', 'CURL_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS', 'npm_config_cafile', 'PIP_CERT', 'GIT_SSL_CAINFO'];
  const env = { PATH: process.env.PATH, HOME: dir, https_proxy: proxyUrl, HTTPS_PROXY: proxyUrl, GIT_TERMINAL_PROMPT: '0',
    ...Object.fromEntries(trust.map(name => [name, world.ca])), ...options.env };
  const how = { env, cwd: options.cwd ?? dir, maxBuffer: 1 << 28, encoding: 'latin1' };

  return new Promise(resolve => execFile(program, args, how,
    (error, out, err) => resolve({ code: error ? error.code : 0, out, err })));
}

const curl = (...args) => run('curl', ['-sS', ...args]);
const statusOf = async (...args) => (await curl('-o', '/dev/null', '-w', '%{http_code}', ...args)).out;
const bearer = () => ['-H', `authorization: Bearer ${world.tokens.api}`];
const requests = () => readFileSync(world.requests, 'utf8').trim().split('\n').map(line => JSON.parse(line));
const API = 'https://api.example.test';

test('the API demands its token and keeps items', async () => {
  assert.equal(await statusOf(`${API}/items`), '401');
  assert.equal(JSON.parse((await curl(...bearer(), `${API}/items`)).out).length, 2);
  assert.equal(JSON.parse((await curl(...bearer(), '-d', 'straw', `${API}/items`)).out).text, 'straw');
  assert.equal(JSON.parse((await curl(...bearer(), '-X', 'DELETE', `${API}/items/3`)).out).id, 3);
  const posted = requests().find(r => r.method === 'POST' && r.service === 'api');

  assert.equal(posted.host, 'api.example.test');
  assert.equal(posted.bytes, 5);
  assert.match(posted.sha256, /^[0-9a-f]{64}$/);
});

test('the API misbehaves as asked', async () => {
  assert.equal((await curl(...bearer(), `${API}/big?bytes=300000`)).out.length, 300000);
  assert.equal((await curl(...bearer(), `${API}/sse?n=3&ms=1`)).out.match(/^data:/gm).length, 3);
  assert.equal((await curl(...bearer(), '--compressed', `${API}/gzip`)).out, '{"compressed":true}');
  assert.notEqual((await curl(...bearer(), `${API}/cut`)).code, 0);
  assert.equal(await statusOf(...bearer(), `${API}/status/418`), '418');
  assert.equal(await statusOf('-u', `me:${world.tokens.api}`, `${API}/basic`), '200');
  for (const path of ['/echo', '/echo/slow', '/echo/gzip']) {
    const { headers } = JSON.parse((await curl(...bearer(), '--compressed', API + path)).out);

    assert.equal(headers.authorization, `Bearer ${world.tokens.api}`);
  }
  assert.match((await curl('--noproxy', '*', `http://127.0.0.1:${world.ports.plain}/public`)).out, /true/);
});

test('the models answer, call tools and demand keys', async () => {
  const ask = (content, extra) => curl('https://api.anthropic.com/v1/messages',
    '-H', `x-api-key: ${world.tokens.anthropic}`, '-d', JSON.stringify({ model: 'claude-sonnet-4-5', messages: [{ role: 'user', content }], ...extra }));
  const respond = (input, extra) => curl('https://api.openai.com/v1/responses',
    '-H', `authorization: Bearer ${world.tokens.openai}`, '-d', JSON.stringify({ model: 'gpt-5', input, ...extra }));
  const tools = [{ type: 'function', name: 'shell' }];

  assert.equal(await statusOf('https://api.anthropic.com/v1/messages', '-d', '{}'), '401');
  assert.equal(JSON.parse((await ask('hello')).out).content[0].text, 'pong from the stand-in');
  const called = JSON.parse((await ask('x @@tool Bash {"command":"id"}@@', { tools: [{ name: 'Bash' }] })).out);

  assert.deepEqual(called.content[0].input, { command: 'id' });
  assert.match((await ask('x @@say hay@@', { stream: true })).out, /event: message_stop/);
  assert.equal(JSON.parse((await ask('x @@status 429@@')).out).error.type, 'rate_limit_error');
  assert.equal(JSON.parse((await respond('x @@say oats@@')).out).output[0].content[0].text, 'oats');
  assert.equal(JSON.parse((await respond('x @@tool shell {"a":1}@@', { tools })).out).output[0].arguments, '{"a":1}');
  assert.match((await respond('x', { stream: true })).out, /event: response.completed/);
});

test('npm installs a package and its dependency', async () => {
  const quiet = ['--no-fund', '--no-update-notifier', '--loglevel', 'error'];
  const { code, err } = await run('npm', ['install', ...quiet, 'paddock-oats']);

  assert.equal(code, 0, err);
  assert.equal((await run(process.execPath, ['-p', 'require("paddock-oats")()'])).out.trim(), 'fresh hay and oats');
});

test('pip installs a wheel', async () => {
  const target = join(dir, 'py');
  const quiet = ['-q', '--disable-pip-version-check'];
  const { code, err } = await run('python3', ['-m', 'pip', 'install', ...quiet, '--target', target, 'paddock-hay']);

  assert.equal(code, 0, err);
  const fed = await run('python3', ['-c', 'import paddock_hay; print(paddock_hay.feed())'], { env: { PYTHONPATH: target } });

  assert.equal(fed.out.trim(), 'hay');
});

test('git clones freely and pushes with the token', async () => {
  const clone = join(dir, 'clone');
  const identity = ['-c', 'user.name=T', '-c', 'user.email=t@example.test'];
  const git = (...args) => run('git', [...identity, ...args], { cwd: existsSync(clone) ? clone : dir });

  assert.equal((await git('clone', '-q', 'https://git.example.test/demo.git', clone)).code, 0);
  await git('commit', '-q', '--allow-empty', '-m', 'second');
  assert.notEqual((await git('push', '-q', 'origin', 'main')).code, 0);
  const { code, err } = await git('push', '-q', `https://x:${world.tokens.git}@git.example.test/demo.git`, 'main');

  assert.equal(code, 0, err);
  assert.notEqual((await git('ls-remote', 'https://git.example.test/private.git')).code, 0);
  assert.match((await git('ls-remote', 'https://git.example.test/demo.git')).out, /refs\/heads\/main/);
});

test('what reaches the sink is written down', async () => {
  const socket = dgram.createSocket('udp4');

  await new Promise(resolve => socket.send('tunnel', world.ports.sink_udp, '127.0.0.1', resolve));
  socket.close();
  for (let i = 0; i < 50 && !readFileSync(world.sink, 'utf8').includes('udp'); i++)
    await new Promise(resolve => setTimeout(resolve, 20));
  assert.match(readFileSync(world.sink, 'utf8'), /"protocol":"udp".*"bytes":6/);
});
