"""Slow clients, slow upstreams, half-closed and vanished peers: 5,000 of them cost a bounded amount of memory and time."""
import asyncio
import contextlib
import pathlib
import resource
import socket
import ssl
import sys
import tempfile
import time

from paddock import check, finish, gate, sandbox, skip

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
import pki  # noqa: E402

COUNT = 5000
MIB = 1 << 20
# What one slow connection may cost the two processes together, beyond what they need at rest. Exchanges in progress
# hold windows, and are bounded in number; these are half of the connections at most.
EACH = 32 * 1024
EXCHANGES = 400
EXCHANGE = 256 * 1024
POLICY = """\
version: 1
network:
  - name: slow
    hosts: ["*.slow.test"]
    methods: ["*"]
    schemes: [http, https]
    addresses: [127.0.0.0/8]
"""
HOSTS = ["api.slow.test", "mute.slow.test", "gone.slow.test"]


# -- upstreams ---------------------------------------------------------------------------------

async def read_head(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    length = next((int(f.split(":")[1]) for f in fields if f.lower().startswith("content-length:")), 0)
    return line.split(" ")[1], length


async def api(reader, writer):
    """Answers by path: /ok at once, /endless without an end, /drip a byte a second, /half a part and silence, /reset."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            path, length = await read_head(reader)
            if path == "/endless":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            if path in ("/drip", "/half"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nbegun")
                await writer.drain()
                while path == "/half":
                    await asyncio.sleep(3600)
                while True:
                    await asyncio.sleep(1)
                    writer.write(b"x")
                    await writer.drain()
            if path == "/reset":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nbegun")
                await writer.drain()
                writer.transport.abort()
                return
            if path == "/closed":
                writer.close()
                return
            if length:
                await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
    writer.close()


async def mute(reader, writer):
    """Takes the connection and never says a word: no handshake, no answer."""
    with contextlib.suppress(OSError, asyncio.CancelledError):
        while await reader.read(65536):
            pass
    writer.close()


# -- clients -----------------------------------------------------------------------------------

async def connect(port):
    for _ in range(200):
        try:
            return await asyncio.open_connection("127.0.0.1", port, limit=65536)
        except OSError:
            await asyncio.sleep(0.05)
    raise OSError("the gate takes no connection")


async def tunnel(port, host, context=None):
    """CONNECT, and TLS with what is behind it."""
    reader, writer = await connect(port)
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    if b" 200 " not in answer.split(b"\r\n")[0]:
        raise OSError(answer[:200])
    if context:
        await writer.start_tls(context, server_hostname=host, ssl_handshake_timeout=60)
    return reader, writer


async def send(port, data):
    reader, writer = await connect(port)
    writer.write(data)
    await writer.drain()
    return reader, writer


def absolute(method, path, fields=""):
    return f"{method} http://api.slow.test{path} HTTP/1.1\r\nHost: api.slow.test\r\n{fields}\r\n".encode()


KINDS = {      # name: (how many, what each does)
    "says nothing": (1000, lambda port, tls: connect(port)),
    "sends half of CONNECT": (1000, lambda port, tls: send(port, b"CONNECT api.slow.test:443 HTTP/1.1\r\nHost: api.")),
    "sends half of a request": (1000, lambda port, tls: send(port, absolute("GET", "/ok")[:-2] + b"X-Padding: ")),
    "sends no ClientHello": (800, lambda port, tls: tunnel(port, "api.slow.test")),
    "idles behind a handshake": (800, lambda port, tls: tunnel(port, "api.slow.test", tls)),
    "reads nothing of an endless answer": (130, lambda port, tls: send(port, absolute("GET", "/endless"))),
    "gets a byte a second": (130, lambda port, tls: send(port, absolute("GET", "/drip"))),
    "sends half of a body": (140, lambda port, tls: send(port, absolute("POST", "/ok", "Content-Length: 100000\r\n") + b"half")),
}


async def honest(port, tls, seconds):
    """One usual client: a request in clear text and one over TLS. How long did they take? None: they failed."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            for r, w, head in ((*await send(port, absolute("GET", "/ok", "Connection: close\r\n")), b""),
                               (*await tunnel(port, "api.slow.test", tls),
                                b"GET /ok HTTP/1.1\r\nHost: api.slow.test\r\nConnection: close\r\n\r\n")):
                w.write(head)
                answer = await r.read(-1)
                w.close()
                if not answer.endswith(b"\r\n\r\nok"):
                    print(f"# an honest client got {answer[:300]}", flush=True)
                    return None
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as e:
        print(f"# an honest client got {e!r}", flush=True)
        return None
    return time.monotonic() - began


# -- measures ----------------------------------------------------------------------------------

def processes(root):
    """{name: pid} of what the gate started."""
    out = {}
    for p in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if p.name.isdigit() and int((p / "stat").read_text().rsplit(")", 1)[1].split()[1]) == root:
                out[(p / "cmdline").read_bytes().split(b"\0")[0].decode().rsplit("/", 1)[-1]] = int(p.name)
    return out


def memory(pids):
    """Bytes in use by the inspector and the courier: anonymous pages, what is theirs alone."""
    total = 0
    for name in ("paddock-inspector", "paddock-courier"):
        for line in (pathlib.Path("/proc") / str(pids[name]) / "status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


async def cut_off(reader):
    """Did the answer end before its length, as the client can tell?"""
    try:
        data = await reader.read(-1)
    except OSError:
        return True
    return b"content-length: 100000" in data and len(data) < 90000


async def usual_times(port, tls, count, seconds):
    return [await honest(port, tls, seconds) for _ in range(count)]


async def hold(g, tls, pids, before):
    held, refused = [], 0
    began = time.monotonic()
    for name, (count, one) in KINDS.items():
        got = []
        for at in range(0, count, 50):
            got += await asyncio.gather(*(one(g.port, tls) for _ in range(at, min(at + 50, count))), return_exceptions=True)
        bad = [x for x in got if isinstance(x, BaseException)]
        refused += len(bad)
        held += [x for x in got if not isinstance(x, BaseException)]
        print(f"# {len(got) - len(bad)} that each {name}: {(memory(pids) - before) / MIB:.1f} MiB so far", flush=True)
    took = time.monotonic() - began
    check(f"{COUNT} slow connections are held at once", len(held) == COUNT, (len(held), refused, took))
    times = await usual_times(g.port, tls, 5, 20)
    check("and an honest client is served beside them", all(t is not None and t < 10 for t in times), times)
    await asyncio.sleep(3)
    used = memory(pids) - before
    bound = (COUNT - EXCHANGES) * EACH + EXCHANGES * EXCHANGE
    check(f"they cost {used / MIB:.0f} MiB, under {bound / MIB:.0f}", used < bound)
    return held, used


async def let_go(g, tls, held):
    for _, w in held:
        w.transport.abort()        # vanished: not even an end
    times = await usual_times(g.port, tls, 5, 20)
    check("when they vanish, honest clients are served as before", all(t is not None and t < 5 for t in times), times)


async def rounds(g, tls, pids):
    """What the first round took is used again by the second: nothing is lost for ever."""
    before = memory(pids)
    held, first = await hold(g, tls, pids, before)
    await let_go(g, tls, held)
    held, second = await hold(g, tls, pids, before)
    await let_go(g, tls, held)
    check(f"a second round of {COUNT} costs no more than the first", second < first * 1.15 + 4 * MIB,
          (first / MIB, second / MIB))


async def deadlines(g, tls):
    """What is slow for longer than anybody means to be is ended."""
    began = time.monotonic()
    r, w = await connect(g.port)
    check("a client that says nothing is let go in time", await asyncio.wait_for(r.read(1), 60) == b"",
          time.monotonic() - began)
    r, w = await send(g.port, absolute("GET", "/ok")[:-2])
    answer = await asyncio.wait_for(r.read(-1), 60)
    check("one that sends half a head too", answer == b"" or b" 408 " in answer, answer[:200])
    began = time.monotonic()
    r, w = await send(g.port, b"GET http://mute.slow.test/x HTTP/1.1\r\nHost: mute.slow.test\r\n\r\n")
    w.write_eof()
    r2, w2 = await tunnel(g.port, "mute.slow.test", tls)
    w2.write(b"GET /x HTTP/1.1\r\nHost: mute.slow.test\r\n\r\n")
    answer = await asyncio.wait_for(r2.read(1000), 60)
    check("an upstream that takes the connection and does no handshake: 504", b" 504 " in answer, answer[:200])
    check("in time", time.monotonic() - began < 40, time.monotonic() - began)
    w.close()


async def halves(g, tls):
    r, w = await send(g.port, absolute("GET", "/ok"))
    w.write_eof()
    answer = await asyncio.wait_for(r.read(-1), 20)
    check("a client that closes its side behind a request gets its answer", answer.endswith(b"ok"), answer[:300])
    for path in ("/reset", "/half"):
        r, w = await tunnel(g.port, "api.slow.test", tls)
        w.write(f"GET {path} HTTP/1.1\r\nHost: api.slow.test\r\n\r\n".encode())
        if path == "/half":
            head = await asyncio.wait_for(r.readuntil(b"begun"), 20)
            check("what an upstream sends before it falls silent comes through", head.endswith(b"begun"))
            w.transport.abort()
        else:
            check("an upstream that vanishes in mid-answer: the client can tell", await asyncio.wait_for(cut_off(r), 20))
    r, w = await tunnel(g.port, "gone.slow.test", tls)
    w.write(b"GET /x HTTP/1.1\r\nHost: gone.slow.test\r\n\r\n")
    answer = await asyncio.wait_for(r.read(1000), 30)
    check("an upstream that is not there: 502", b" 502 " in answer, answer[:200])
    r, w = await tunnel(g.port, "api.slow.test", tls)
    w.write(b"GET /closed HTTP/1.1\r\nHost: api.slow.test\r\n\r\n")
    answer = await asyncio.wait_for(r.read(1000), 30)
    check("an upstream that closes instead of answering: 502", b" 502 " in answer, answer[:200])


async def play(s, directory):
    ca, leaf, key = pki.make(directory, HOSTS)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(leaf, key)
    secure = await asyncio.start_server(api, "127.0.0.1", 0, ssl=server, backlog=1024)
    plain = await asyncio.start_server(api, "127.0.0.1", 0, backlog=1024)
    silent = await asyncio.start_server(mute, "127.0.0.1", 0, backlog=1024)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gone = nobody.getsockname()[1]
    ports = {"api.slow.test": (secure, plain), "mute.slow.test": (silent, silent)}
    options = ["--upstream-ca", str(ca), "--resolve", f"gone.slow.test:443:127.0.0.1:{gone}"]
    for host, pair in ports.items():
        for port, to in zip((443, 80), pair, strict=True):
            options += ["--resolve", f"{host}:{port}:127.0.0.1:{to.sockets[0].getsockname()[1]}"]
    with gate(s, *options) as g:
        tls = ssl.create_default_context(cafile=g.env["SSL_CERT_FILE"])
        pids = processes(g.process.pid)
        check("the gate is at rest in under 12 MiB of its own", memory(pids) < 12 * MIB, memory(pids) / MIB)
        check("a first honest client is served", await honest(g.port, tls, 20) is not None)
        await halves(g, tls)
        await rounds(g, tls, pids)
        await deadlines(g, tls)
        check("the gate's processes are those that it began with", processes(g.process.pid) == pids,
              (pids, processes(g.process.pid)))


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 2 * COUNT + 2000:
        skip(f"{COUNT} slow connections", f"they need a limit of {2 * COUNT + 2000} open files; it is {hard}")
        return
    with sandbox("slow", None, POLICY) as s, tempfile.TemporaryDirectory(prefix="paddock-slow-") as directory:
        asyncio.run(play(s, directory))


main()
finish()
