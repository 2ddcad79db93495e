// pki.mjs - a certificate authority of this world's own, and one leaf for all of its names
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DAYS = '7';

function openssl(dir, ...args) {
  execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
}

const newKey = name => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', name];

/** Makes ca.pem and leaf.pem in `dir`; returns what node's https server wants. The CA's key is not kept. */
export function makePki(dir, hosts) {
  const names = [...hosts.map(h => `DNS:${h}`), 'DNS:localhost', 'IP:127.0.0.1', 'IP:::1'].join(',');

  openssl(dir, 'req', '-x509', ...newKey('ca.key'), '-days', DAYS, '-subj', '/CN=Paddock test world CA', '-out', 'ca.pem',
    '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
  openssl(dir, 'req', ...newKey('leaf.key'), '-subj', '/CN=Paddock test world', '-out', 'leaf.csr');
  writeFileSync(join(dir, 'leaf.ext'), [
    `subjectAltName=${names}`, 'basicConstraints=CA:FALSE', 'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth', 'authorityKeyIdentifier=keyid', 'subjectKeyIdentifier=hash', ''].join('\n'));
  openssl(dir, 'x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', DAYS,
    '-extfile', 'leaf.ext', '-out', 'leaf.pem');
  return {
    ca: join(dir, 'ca.pem'),
    tls: {
      key: readFileSync(join(dir, 'leaf.key')),
      cert: Buffer.concat([readFileSync(join(dir, 'leaf.pem')), readFileSync(join(dir, 'ca.pem'))]),
      ALPNProtocols: ['http/1.1'],
    },
  };
}
