// packages.mjs - an npm registry and a Python package index, of packages that are made here
//
// npm:  paddock-hay 1.0.0, 1.1.0; paddock-oats 1.0.0, which depends on it. PUT (publish) demands the token.
// PyPI: paddock-hay 1.0.0 (a wheel), below /simple/ on pypi.org and /packages/ on files.pythonhosted.org.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { json, tokenOf } from './serve.mjs';

const BLOCK = 512;
const hash = (algorithm, data, encoding) => createHash(algorithm).update(data).digest(encoding);

function binary(response, data) {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': data.length });
  response.end(data);
}

// --- npm ---

/** One file as a ustar member. */
function tarMember(name, text) {
  const data = Buffer.from(text);
  const head = Buffer.alloc(BLOCK);
  const octal = (value, at, width) => head.write(value.toString(8).padStart(width - 1, '0') + '\0', at, 'latin1');

  head.write(name, 0, 'latin1');
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(data.length, 124, 12);
  octal(0, 136, 12);
  head.write('        0', 148, 'latin1');	// an empty checksum, then the type: a file
  head.write('ustar\x0000', 257, 'latin1');
  octal(head.reduce((sum, byte) => sum + byte, 0), 148, 7);
  return Buffer.concat([head, data, Buffer.alloc((BLOCK - data.length % BLOCK) % BLOCK)]);
}

function npmTarball(manifest, source) {
  const members = [
    tarMember('package/package.json', JSON.stringify(manifest, null, 2)),
    tarMember('package/index.js', source),
  ];

  return zlib.gzipSync(Buffer.concat([...members, Buffer.alloc(2 * BLOCK)]));
}

function npmPackage(name, versions) {
  const made = { name, 'dist-tags': { latest: versions.at(-1).version }, versions: {}, time: {}, tarballs: new Map() };

  for (const { version, dependencies = {}, source } of versions) {
    const manifest = { name, version, main: 'index.js', license: 'Apache-2.0', dependencies };
    const tarball = npmTarball(manifest, source);
    const file = `${name}-${version}.tgz`;

    made.tarballs.set(file, tarball);
    made.time[version] = '2025-01-01T00:00:00.000Z';
    made.versions[version] = { ...manifest, dist: {
      tarball: `https://registry.npmjs.org/${name}/-/${file}`,
      shasum: hash('sha1', tarball, 'hex'), integrity: `sha512-${hash('sha512', tarball, 'base64')}` } };
  }
  return made;
}

export function npmRegistry(token) {
  const packages = new Map([
    npmPackage('paddock-hay', [
      { version: '1.0.0', source: "module.exports = () => 'hay';\n" },
      { version: '1.1.0', source: "module.exports = () => 'fresh hay';\n" }]),
    npmPackage('paddock-oats', [
      { version: '1.0.0', dependencies: { 'paddock-hay': '^1.0.0' },
        source: "module.exports = () => require('paddock-hay')() + ' and oats';\n" }]),
  ].map(made => [made.name, made]));

  return (request, response, body) => {
    const { pathname } = new URL(request.url, 'https://registry.npmjs.org');
    const [name, dash, file] = pathname.slice(1).split('/').map(decodeURIComponent);
    const found = packages.get(name);

    if (name === '-') return json(response, 200, request.method === 'POST' ? {} : { ok: true });	// ping, audit
    if (request.method === 'PUT') {
      if (tokenOf(request, 'bearer') !== token) return json(response, 401, { error: 'a token is needed to publish' });
      return json(response, 201, { ok: true, id: JSON.parse(body).name });
    }
    if (!found) return json(response, 404, { error: 'Not found' });
    if (dash === '-' && found.tarballs.has(file)) return binary(response, found.tarballs.get(file));
    const { tarballs, ...metadata } = found;

    return dash ? json(response, 404, { error: 'Not found' }) : json(response, 200, metadata);
  };
}

// --- PyPI ---

const WHEEL = `
import base64, hashlib, sys, zipfile
path, name, version = sys.argv[1:]
module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
files = {
    f"{module}/__init__.py": 'def feed():\\n    return "hay"\\n',
    f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: paddock\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}
digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
record = "".join(f"{n},sha256={digest(t)},{len(t)}\\n" for n, t in files.items()) + f"{info}/RECORD,,\\n"
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
    for n, t in {**files, f"{info}/RECORD": record}.items():
        wheel.writestr(n, t)
`;

export function pythonIndex(dir) {
  const file = 'paddock_hay-1.0.0-py3-none-any.whl';

  mkdirSync(dir, { recursive: true });
  execFileSync('python3', ['-c', WHEEL, join(dir, file), 'paddock-hay', '1.0.0']);
  const wheel = readFileSync(join(dir, file));
  const address = `https://files.pythonhosted.org/packages/${file}#sha256=${hash('sha256', wheel, 'hex')}`;
  const pages = new Map([
    ['/simple/', '<a href="/simple/paddock-hay/">paddock-hay</a>'],
    ['/simple/paddock-hay/', `<a href="${address}">${file}</a>`],
  ]);

  return (request, response) => {
    const { pathname } = new URL(request.url, 'https://pypi.org');

    if (pathname === `/packages/${file}`) return binary(response, wheel);
    if (!pages.has(pathname)) return json(response, 404, { error: 'Not found' });
    const page = Buffer.from(`<!DOCTYPE html><html><body>${pages.get(pathname)}</body></html>\n`);

    response.writeHead(200, { 'content-type': 'text/html', 'content-length': page.length });
    return response.end(page);
  };
}
