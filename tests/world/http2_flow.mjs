// http2_flow.mjs - a client of HTTP/2 that stops reading an answer, and one whose upload nobody reads; both go on later
//
//   node http2_flow.mjs HOST MIB
//
// Prints one JSON object a line: {at: "begun" | "down" | "up" | "end", ...}, and after each but the last waits for a
// line on standard input.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createInterface } from 'node:readline';

const [, , host, mib] = process.argv;
const total = Number(mib) << 20, stopped_ms = 3000;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const session = http2.connect(`https://${host}`);
const sleep = ms => new Promise(done => setTimeout(done, ms));

async function say(at, rest) {
  console.log(JSON.stringify({ at, ...rest }));
  if (at !== 'end') await lines.next();
}

async function get(path) {
  const stream = session.request({ ':path': path });
  let status;

  stream.on('response', h => { status = h[':status']; }).resume();
  await once(stream, 'close');
  return status;
}

/** An answer of which nothing is read for a while: not even by the time others of the session have theirs. */
async function down() {
  const stream = session.request({ ':path': `/big?mb=${mib}` }), hash = createHash('sha256');
  let bytes = 0;

  await once(stream, 'response');
  await sleep(stopped_ms);
  await say('down', { other: await get('/get'), held: stream.readableLength });
  for await (const data of stream) {
    bytes += data.length;
    hash.update(data);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** A body that the upstream does not read before another request of the same session says so. */
async function up() {
  const stream = session.request({ ':path': '/held', ':method': 'POST' }), hash = createHash('sha256');
  const piece = Buffer.alloc(65536);
  let bytes = 0, answer = '';

  stream.setEncoding('utf8').on('data', d => { answer += d; });
  const closed = once(stream, 'close');
  const write = (async () => {
    for (; bytes < total; bytes += piece.length) {
      piece.fill(bytes >> 16 & 255);
      hash.update(piece);
      if (!stream.write(Buffer.from(piece))) await Promise.race([once(stream, 'drain'), closed]);
    }
    stream.end();
  })();

  await sleep(stopped_ms);
  await say('up', { other: await get('/get'), taken: bytes });
  await get('/release');
  await write;
  await closed;
  const said = JSON.parse(answer || '{}');

  return { bytes: said.bytes, same: said.sha256 === hash.digest('hex') };
}

await once(session, 'connect');
session.setLocalWindowSize(1 << 24);	// one stream that is not read is not to stop the others
const first = await get('/get');

await say('begun', { first });
const results = { down: await down(), up: await up() };

session.close();
await say('end', results);
process.exit(0);
