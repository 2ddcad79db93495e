"""`paddock gate`: the same gate as an explicit proxy, for clients that no sandbox holds."""
import contextlib
import json
import socket
import subprocess
import time

from paddock import BIN, check, finish, gate, kill, sandbox, wait_for, world
from tcp import serve

POLICY = """\
version: 1
network:
  - name: api
    hosts: [api.example.test]
    methods: [GET]
    credential: api
    addresses: [127.0.0.0/8]
  - name: plain
    hosts: [plain.example.test, second.example.test]
    methods: [GET, POST]
    schemes: [http]
    ports: ["*"]
    addresses: [127.0.0.0/8]
  - name: raw
    hosts: [raw.example.test]
    tcp: true
    ports: ["9"]
    addresses: [127.0.0.0/8]
credentials:
  api:
    source: {environment: API_TOKEN}
    hosts: [api.example.test]
    header: {name: authorization, format: "Bearer {secret}"}
    placeholder: {environment: API_TOKEN, prefix: "tok-"}
"""


def talk(port, text, wait=0.5):
    """Bytes to the proxy, and what it answers until it pauses."""
    with socket.create_connection(("127.0.0.1", port), 10) as c:
        c.sendall(text)
        c.settimeout(wait)
        out = b""
        try:
            while part := c.recv(65536):
                out += part
        except (TimeoutError, ConnectionResetError):
            pass
        return out


def http(c):
    with c:
        c.recv(65536)
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain")
        time.sleep(0.2)


def raw(c):
    with c:
        with contextlib.suppress(OSError):
            c.sendall(b"banner\n")
            while part := c.recv(65536):
                c.sendall(b"got " + part)
            c.sendall(b"end\n")


def usual(s, w, plain, tcp):
    token = w.info["tokens"]["api"]
    options = ["--resolve", f"plain.example.test:8080:127.0.0.1:{plain}",
               "--resolve", f"second.example.test:8080:127.0.0.1:{plain}",
               "--resolve", f"raw.example.test:9:127.0.0.1:{tcp}"]
    with gate(s, *options, env={"API_TOKEN": token}) as g:
        for version in ("--http1.1", "--http2"):
            r = g.run(["curl", "-sS", "-m", "20", version, "-w", "\n%{http_code}", "https://api.example.test/items"])
            check(f"CONNECT, TLS and a request with the injected credential ({version[2:]})",
                  r.stdout.endswith("200"), (r.stdout, r.stderr))
        shown = g.run(["openssl", "s_client", "-proxy", g.env["HTTPS_PROXY"].split("//")[1], "-servername", "api.example.test",
                       "-connect", "api.example.test:443"]).stdout
        lives = subprocess.run(["openssl", "x509", "-noout", "-checkend", str(365 * 86400)], input=shown, text=True,
                               stdout=subprocess.DEVNULL).returncode
        check("certificates outlive the longest run that a policy can allow", lives == 0, shown[-500:])
        check("clients get a placeholder for the credential",
              g.env["API_TOKEN"].startswith("tok-") and g.env["API_TOKEN"] != token, g.env)
        r = g.run(["curl", "-sS", "-m", "20", "-X", "POST", "-w", "\n%{http_code}", "https://api.example.test/items"])
        check("a method that no rule allows is 403 inside of the tunnel", r.stdout.endswith("403"), r.stdout)
        r = g.run(["curl", "-sS", "-m", "20", "https://unlisted.example.test/"])
        check("CONNECT to a host that no rule names is refused", "403" in r.stderr, (r.stdout, r.stderr))
        r = g.run(["curl", "-sS", "-m", "20", "http://plain.example.test:8080/x", "http://second.example.test:8080/y"])
        check("absolute form to two hosts on one connection", r.stdout == "plainplain", (r.stdout, r.stderr))
        with socket.create_connection(("127.0.0.1", g.port), 10) as c:
            c.sendall(b"CONNECT raw.example.test:9 HTTP/1.1\r\nHost: raw.example.test:9\r\n\r\n")
            c.settimeout(10)
            first = c.recv(39)
            out = c.recv(7)
            c.sendall(b"hello")
            out += c.recv(9)
            c.shutdown(socket.SHUT_WR)
            while part := c.recv(100):
                out += part
            check("raw TCP both ways, the server first, with a half-close",
                  first.startswith(b"HTTP/1.1 200") and out == b"banner\ngot helloend\n", (first, out))
        with socket.create_connection(("127.0.0.1", g.port), 10) as c:
            c.sendall(b"CONNECT raw.example.test:9 HTTP/1.1\r\n\r\n" + g.env["API_TOKEN"].encode())
            c.settimeout(10)
            out = b""
            try:
                while part := c.recv(100):
                    out += part
            except ConnectionResetError:
                out += b"(reset)"
            check("a placeholder does not wander off through a raw tunnel", out.endswith(b"(reset)"), out)
        refusals(g)
    rows = s.records()
    check("a tunnel has an intent that says it is not opened, and an outcome",
          any(r["kind"] == "intent" and r.get("opened") is False and r["url"] == "tcp://raw.example.test:9" for r in rows)
          and any(r.get("result") == "PLACEHOLDER_BLOCKED" for r in rows), rows[-8:])
    r = s.paddock("audit", "verify")
    check("the gate's trail verifies", r.returncode == 0, (r.stdout, r.stderr))


def large(c):
    """As many bytes as the client says before it ends its side."""
    with c, contextlib.suppress(OSError):
        said = b""
        while part := c.recv(65536):
            said += part
        c.sendall(bytes(int(said)))


def small_reader(port):
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.settimeout(20)
    c.connect(("127.0.0.1", port))
    return c


def unread():
    """How much the kernel takes for a client that does not read."""
    with socket.create_server(("127.0.0.1", 0)) as server, small_reader(server.getsockname()[1]):
        c, n = server.accept()[0], 0
        c.setblocking(False)
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                while True:
                    n += c.send(bytes(16384))
            time.sleep(0.02)
        c.close()
    return n


def lasting(s, w):
    """Tunnels to their end: the last byte arrives, and a policy that forbids what is open ends it."""
    options = ["--resolve", f"raw.example.test:9:127.0.0.1:{serve(raw)}"]
    head = b"CONNECT raw.example.test:9 HTTP/1.1\r\n\r\n"
    env = {"API_TOKEN": w.info["tokens"]["api"]}
    with gate(s, "--resolve", f"raw.example.test:9:127.0.0.1:{serve(large)}", env=env) as g, contextlib.ExitStack() as all:
        # the last piece does not go into the kernel's buffer, or not all of it
        short, kernel = [], unread()
        sizes = [kernel + more for more in range(-320 << 10, 0, 5 << 10)]
        clients = [all.enter_context(small_reader(g.port)) for _ in sizes]
        for c, size in zip(clients, sizes):
            c.sendall(head + str(size).encode())
            c.shutdown(socket.SHUT_WR)
        time.sleep(3)
        for c, size in zip(clients, sizes):
            got = -39
            while part := c.recv(1 << 20):
                got += len(part)
            if got != size:
                short.append((got, size))
        check("clients that have ended their side and read late get all of it", not short, short)
    with gate(s, *options, env=env) as g, socket.create_connection(("127.0.0.1", g.port), 10) as c:
        c.sendall(head)
        c.settimeout(15)
        begun = c.recv(39) + c.recv(7)
        before = s.policy.read_text()
        s.policy.write_text(before.replace('ports: ["9"]', 'ports: ["10"]'))
        try:
            out = c.recv(100)
        except ConnectionResetError:
            out = b"(reset)"
        check("a tunnel that a new policy would not open is ended",
              begun.endswith(b"banner\n") and out == b"(reset)", (begun, out))
        s.policy.write_text(before)
    check("and on record", any(r["kind"] == "outcome" and r.get("result") == "POLICY_DENIED" for r in s.records()),
          s.records()[-4:])


def refusals(g):
    for what, text, expected in (
            ("origin form, as this is no server", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"400"),
            ("https:// in absolute form", b"GET https://api.example.test/ HTTP/1.1\r\nHost: api.example.test\r\n\r\n", b"400"),
            ("CONNECT without a port", b"CONNECT api.example.test HTTP/1.1\r\n\r\n", b"400"),
            ("CONNECT with a body", b"CONNECT api.example.test:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"400"),
            ("CONNECT whose Host is another", b"CONNECT api.example.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n", b"421"),
            ("a target whose Host is another",
             b"GET http://plain.example.test:8080/ HTTP/1.1\r\nHost: second.example.test:8080\r\n\r\n", b"421"),
            ("a bare LF", b"CONNECT api.example.test:443 HTTP/1.1\nHost: api.example.test:443\n\n", b"400"),
            ("two tokens", b"CONNECT api.example.test:443 HTTP/1.1\r\nProxy-Authorization: Bearer a\r\n"
                           b"Proxy-Authorization: Bearer b\r\n\r\n", b"400"),
            ("loopback by number", b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n", b"403"),
            ("an octal address", b"CONNECT 0177.0.0.1:22 HTTP/1.1\r\n\r\n", b"400")):
        out = talk(g.port, text)
        check(f"refused with {expected.decode()}: {what}", out.split(b" ")[1:2] == [expected], out[:200])
    # TLS to another name than the tunnel's
    r = g.run(["curl", "-sS", "-m", "10", "--connect-to", "other.example.test:443:api.example.test:443",
               "https://other.example.test/"])
    check("a tunnel to one name cannot carry another (SNI)", r.returncode != 0, (r.stdout, r.stderr))


def few_descriptors(s, w):
    """Under a low hard limit, idle clients make room for new ones, as they do at the gate's own limit."""
    with gate(s, env={"API_TOKEN": w.info["tokens"]["api"]}, descriptors=256) as g, contextlib.ExitStack() as idle:
        for _ in range(400):
            idle.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", g.port), 10))).send(b"CONN")
        time.sleep(2.5)	# who has sent half a head counts as idle after two
        r = g.run(["curl", "-sS", "-m", "20", "-w", "\n%{http_code}", "https://api.example.test/items"])
        check("with 256 descriptors and 400 idle clients, a request is answered", r.stdout.endswith("200"), (r.stdout, r.stderr))


LARGE = 3 << 20


def large_answer(c):
    with c:
        c.recv(65536)
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LARGE + bytes(LARGE))
        c.recv(1)


def slow_reader(s, w):
    """An answer to the last request of a connection, which its client takes more slowly than the gate."""
    with gate(s, "--resolve", f"plain.example.test:8080:127.0.0.1:{serve(large_answer)}", env={"API_TOKEN": w.info["tokens"]["api"]}) as g, \
            socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.settimeout(20)
        c.connect(("127.0.0.1", g.port))
        c.sendall(b"GET http://plain.example.test:8080/ HTTP/1.1\r\nHost: plain.example.test:8080\r\nConnection: close\r\n\r\n")
        got = 0
        with contextlib.suppress(OSError):
            while part := c.recv(65536):
                got += len(part)
                time.sleep(0.1)
        check("an answer that is read slowly comes whole, though the connection ends with it", got > LARGE, got)


def tokens(s, w):
    made = subprocess.run([BIN / "paddock", "gate", "--new-token", "ci"], env=s.env, text=True, capture_output=True)
    token = made.stderr.split("once: ")[1].split()[0]
    clients = s.root / "clients"
    clients.write_text("# who\n" + made.stdout)
    with gate(s, "--clients", str(clients), env={"API_TOKEN": w.info["tokens"]["api"]}) as g:
        get = ["curl", "-sS", "-m", "20", "-w", "\n%{http_code} %{http_connect}", "https://api.example.test/items"]
        r = g.run(get)
        check("without a token: 407", "407" in r.stdout + r.stderr, (r.stdout, r.stderr))
        for what, url, good in (("as password", f"http://ci:{token}@127.0.0.1:{g.port}", True),
                                ("a wrong one", f"http://ci:{token[:-1]}x@127.0.0.1:{g.port}", False)):
            r = g.run(get, env={"https_proxy": url, "HTTPS_PROXY": url})
            check(f"a token, {what}", ("200 200" in r.stdout) == good, (r.stdout, r.stderr))
        r = g.run([*get, "--proxy-header", f"Proxy-Authorization: Bearer {token}"])
        check("a token as bearer", "200 200" in r.stdout, (r.stdout, r.stderr))
    names = {r.get("client") for r in s.records("intent")}
    check("the trail names the client, and not its token",
          names == {"ci"} and token not in json.dumps(s.records()), names)


def ends(s, w):
    env = {"API_TOKEN": w.info["tokens"]["api"]}
    for name in ("paddock-inspector", "paddock-courier", "paddock-keeper", "paddock-decoder"):
        with gate(s, env=env) as g:
            state = json.loads(s.paddock("ps", "--json").stdout)[0]
            kill(state["processes"][name])
            check(f"kill -9 of {name} closes the gate", wait_for(lambda: g.process.poll() == 125, 20), g.process.poll())
    with gate(s, env=env) as g:
        check("SIGTERM is an orderly end", g.close() == 0, g.process.stderr.read())
    left = s.left_behind()
    check("nothing is left behind", not left, left)
    for what, arguments in (("no --listen", []), ("a name", ["--listen", "localhost:1"]),
                            ("not loopback, without clients", ["--listen", "0.0.0.0:0"]),
                            ("an argument", ["--listen", "127.0.0.1:0", "extra"]),
                            ("a bad clients file", ["--listen", "127.0.0.1:0", "--clients", "/etc/hostname"])):
        r = subprocess.run([BIN / "paddock", "gate", *arguments], env=s.env, text=True, capture_output=True, timeout=20)
        check(f"refused with one line and 125: {what}", r.returncode == 125 and 1 <= len(r.stderr.splitlines()) <= 2,
              (r.returncode, r.stderr))


with world() as w, sandbox("gate", w, POLICY) as s:
    usual(s, w, serve(http), serve(raw))
    lasting(s, w)
    tokens(s, w)
    few_descriptors(s, w)
    slow_reader(s, w)
    ends(s, w)
finish()
