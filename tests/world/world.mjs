#!/usr/bin/env node
// world.mjs - a small world on loopback for tests and ./try: what an agent talks to, and what it must not reach
//
//   node tests/world/world.mjs --dir DIR [--ready-fd N] [--ignore-stdin]
//
// Starts everything on free ports and writes DIR/world.json: where it is ({hosts: {name: port}}), the certificate to
// trust ({ca}), the secrets that are demanded ({tokens}), and {resolve}, the names as HOST:443:127.0.0.1:PORT. Then one
// line goes to descriptor N. DIR/requests.jsonl gets a line for each request that arrives, DIR/sink.jsonl one for
// whatever arrives where nothing should. It ends when standard input does, or on SIGTERM, SIGINT.
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { api } from './api.mjs';
import { gitServer, makeRepositories } from './git.mjs';
import { llm, llmSocket } from './llm.mjs';
import { npmRegistry, pythonIndex } from './packages.mjs';
import { makePki } from './pki.mjs';
import { journal, serve } from './serve.mjs';
import { sink } from './sink.mjs';

const HOSTS = {
  llm: ['api.anthropic.com', 'api.openai.com', 'chatgpt.com'],
  api: ['api.example.test', 'other.example.test'],
  npm: ['registry.npmjs.org'],
  pypi: ['pypi.org', 'files.pythonhosted.org'],
  git: ['git.example.test'],
};

const token = (prefix, bytes = 24) => prefix + randomBytes(bytes).toString('base64url');

function jwt(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');

  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${randomBytes(64).toString('base64url')}`;
}

function newTokens() {
  return {
    anthropic: token('sk-ant-api03-', 36), openai: token('sk-proj-', 36), api: token('api-'),
    npm: token('npm_'), git: token('ghp_'), chatgpt: jwt({ exp: Math.floor(Date.now() / 1000) + 10 * 86400 }),
  };
}

async function start(dir) {
  const tokens = newTokens();
  const { ca, tls } = makePki(dir, Object.values(HOSTS).flat());
  const log = journal(join(dir, 'requests.jsonl'));
  const root = join(dir, 'git');
  const closers = [];
  const world = {
    ca, tokens, ports: {}, hosts: {}, resolve: [],
    requests: join(dir, 'requests.jsonl'), sink: join(dir, 'sink.jsonl'),
  };

  mkdirSync(root, { recursive: true });
  makeRepositories(root);
  const handlers = {
    llm: llm(tokens), api: api(tokens.api), npm: npmRegistry(tokens.npm),
    pypi: pythonIndex(join(dir, 'pypi')), git: gitServer(root, tokens.git),
  };
  const add = async (service, options) => {
    const server = await serve({ service, log, ...options });

    closers.push(server.close);
    world.ports[service] = server.port;
  };

  for (const [service, handler] of Object.entries(handlers)) {
    await add(service, { tls, handler, socket: service === 'llm' ? llmSocket(tokens) : undefined });
    for (const host of HOSTS[service]) {
      world.hosts[host] = world.ports[service];
      world.resolve.push(`${host}:443:127.0.0.1:${world.ports[service]}`);
    }
  }
  await add('plain', { handler: handlers.api });	// the API again, over plain HTTP
  const nothing = await sink(journal(join(dir, 'sink.jsonl')));

  closers.push(nothing.close);
  Object.assign(world.ports, { sink_udp: nothing.udp, sink_tcp: nothing.tcp });
  for (const name of ['requests.jsonl', 'sink.jsonl']) writeFileSync(join(dir, name), '', { flag: 'a' });
  // at once as a whole: its presence is the sign that all is ready
  writeFileSync(join(dir, 'world.json.new'), JSON.stringify(world, null, 2) + '\n', { mode: 0o600 });
  renameSync(join(dir, 'world.json.new'), join(dir, 'world.json'));
  return () => closers.forEach(close => close());
}

async function main() {
  const { values } = parseArgs({ options: {
    dir: { type: 'string' }, 'ready-fd': { type: 'string' }, 'ignore-stdin': { type: 'boolean' } } });

  if (!values.dir) throw new Error('usage: world.mjs --dir DIR [--ready-fd N] [--ignore-stdin]');
  const dir = resolve(values.dir);

  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stop = await start(dir);
  const end = () => { stop(); process.exit(0); };

  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (!values['ignore-stdin']) process.stdin.on('end', end).on('error', end).resume();
  if (values['ready-fd']) writeSync(Number(values['ready-fd']), 'ready\n');
}

main().catch(error => {
  console.error(`world: ${error.message}`);
  process.exit(1);
});
