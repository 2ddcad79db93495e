// git.mjs - git over smart HTTP: git's own http-backend behind a CGI bridge
//
//   /demo.git      anybody fetches; a push demands the token as the Basic password
//   /private.git   the token is demanded for everything
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tokenOf } from './serve.mjs';

const HEAD_MAX = 64 * 1024;

function git(cwd, ...args) {
  const identity = ['-c', 'user.name=World', '-c', 'user.email=world@example.test', '-c', 'init.defaultBranch=main'];

  return execFileSync('git', [...identity, ...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Bare repositories of one commit each, below `root`. */
export function makeRepositories(root) {
  const work = join(root, 'work');

  mkdirSync(work, { recursive: true });
  git(work, 'init', '-q');
  writeFileSync(join(work, 'README.md'), '# demo\n\nA repository of the test world.\n');
  git(work, 'add', '.');
  git(work, 'commit', '-q', '-m', 'The first commit');
  for (const name of ['demo.git', 'private.git']) {
    git(root, 'clone', '-q', '--bare', 'work', name);
    git(join(root, name), 'config', 'http.receivepack', 'true');
  }
}

function isAllowed(request, url, token) {
  const writes = url.pathname.endsWith('/git-receive-pack') || url.searchParams.get('service') === 'git-receive-pack';

  return (!writes && !url.pathname.startsWith('/private.git/')) || tokenOf(request, 'basic') === token;
}

function environment(request, url, root, body) {
  const header = name => request.headers[name] ?? '';

  return {
    PATH: process.env.PATH, GIT_PROJECT_ROOT: root, GIT_HTTP_EXPORT_ALL: '1', REMOTE_USER: 'paddock',
    GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*',
    REQUEST_METHOD: request.method, PATH_INFO: decodeURIComponent(url.pathname), QUERY_STRING: url.search.slice(1),
    CONTENT_TYPE: header('content-type'), CONTENT_LENGTH: String(body.length), GIT_PROTOCOL: header('git-protocol'),
    HTTP_CONTENT_ENCODING: header('content-encoding'), SERVER_PROTOCOL: 'HTTP/1.1',
  };
}

function field(line) {
  const colon = line.indexOf(':');

  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

/** A CGI answer: header lines, an empty line, the body. */
function relay(child, response) {
  let head = Buffer.alloc(0);
  let open = false;

  child.stdout.on('data', chunk => {
    if (open) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');

    if (end < 0) {
      if (head.length > HEAD_MAX) response.destroy();
      return;
    }
    const fields = head.subarray(0, end).toString('latin1').split('\r\n').map(field);
    const status = fields.find(([name]) => name.toLowerCase() === 'status');

    open = true;
    response.writeHead(status ? parseInt(status[1], 10) : 200, fields.filter(f => f !== status).flat());
    response.write(head.subarray(end + 4));
  });
  return new Promise(resolve => child.on('close', () => {
    open ? response.end() : response.writeHead(500).end();
    resolve();
  }));
}

export function gitServer(root, token) {
  return async (request, response, body) => {
    const url = new URL(request.url, 'https://git.example.test');

    if (!isAllowed(request, url, token)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"', 'content-length': 0 });
      return response.end();
    }
    const env = environment(request, url, root, body);
    const child = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'ignore'] });

    child.stdin.on('error', () => {});
    child.stdin.end(body);
    return relay(child, response);
  };
}
