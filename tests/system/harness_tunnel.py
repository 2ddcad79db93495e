"""What passes unopened: a pinned client's TLS by the name in its ClientHello, and raw TCP by host and port."""
import socket
import ssl
import subprocess

from paddock import check, finish, sandbox, world
from tcp import serve

POLICY = """\
version: 1
network:
  - name: pinned
    hosts: [pinned.example.test]
    passthrough: true
    addresses: [127.0.0.0/8]
  - name: database
    hosts: [database.example.test]
    tcp: true
    ports: ["5432"]
    addresses: [127.0.0.0/8]
  - name: api
    hosts: [api.example.test]
    methods: [GET]
    addresses: [127.0.0.0/8]
"""


def certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", directory / "key.pem", "-out", directory / "own.pem", "-subj", "/CN=pinned.example.test",
                    "-addext", "subjectAltName=DNS:pinned.example.test,DNS:api.example.test", "-days", "2"],
                   check=True, capture_output=True)
    return directory / "own.pem", directory / "key.pem"


def main(w, s):
    own, key = certificate(s.root)
    (s.workspace / "own.pem").write_bytes(own.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)

    def https(c):
        try:
            with context.wrap_socket(c, server_side=True) as t:
                t.recv(65536)
                t.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\npinned")
        except OSError:
            pass

    def database(c):
        with c:
            c.sendall(b"ready\n")
            while part := c.recv(65536):
                c.sendall(part.upper())
            c.sendall(b"bye\n")

    options = ["--quiet", "--resolve", f"pinned.example.test:443:127.0.0.1:{serve(https)}",
               "--resolve", f"database.example.test:5432:127.0.0.1:{serve(database)}"]
    r = s.run(["curl", "-sS", "-m", "20", "--cacert", "own.pem", "https://pinned.example.test/x"], *options)
    check("a client that trusts one certificate only reaches its server", r.stdout == "pinned", (r.stdout, r.stderr))
    rows = s.records("intent")
    check("the trail says where, and that nothing of it was opened",
          rows and rows[-1]["url"] == "tls://pinned.example.test:443" and rows[-1]["opened"] is False, rows)
    out = s.records("outcome")
    check("and how much went", out and out[-1]["bytes_in"] > 100 and out[-1]["bytes_out"] > 100, out)

    r = s.run(["python3", "-c", """
import socket
c = socket.create_connection(("database.example.test", 5432), 20)
print(c.recv(100))
c.sendall(b"select")
print(c.recv(100))
c.shutdown(socket.SHUT_WR)
print(c.recv(100), c.recv(100))
"""], *options)
    check("raw TCP, where the server speaks first, with a half-close",
          r.stdout.split("\n")[:3] == ["b'ready\\n'", "b'SELECT'", "b'bye\\n' b''"], (r.stdout, r.stderr))
    r = s.run(["python3", "-c", """
import socket
for port in (5433, 22):
    try:
        c = socket.create_connection(("database.example.test", port), 20)
        c.sendall(b"\\x00\\x01")
        print("read", c.recv(100))
    except OSError as e:
        print("refused")
"""], *options)
    check("another port of the same host is no tunnel", r.stdout == "refused\nrefused\n", (r.stdout, r.stderr))

    # fronting: the address of one name, the ClientHello of another
    r = s.run(["python3", "-c", """
import socket, ssl
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
for name in ("api.example.test", "evil.example.test", None):
    try:
        t = c.wrap_socket(socket.create_connection(("pinned.example.test", 443), 20), server_hostname=name)
        print(name, "open")
    except (OSError, ssl.SSLError):
        print(name, "refused")
"""], *options)
    check("another server name than the one that DNS gave, or none, does not pass",
          r.stdout == "api.example.test refused\nevil.example.test refused\nNone refused\n", (r.stdout, r.stderr))
    denied = [x.get("result") for x in s.records("denial")]
    check("each is on record", denied.count("NAME_MISMATCH") == 3, denied)
    r = s.run(["curl", "-sS", "-m", "20", "-H", "Host: api.example.test", "http://pinned.example.test/"], *options)
    check("plain HTTP to a passthrough's host is not let through", "pinned" not in r.stdout, r.stdout)
    r = s.paddock("policy", "explain", str(s.policy), "CONNECT", "pinned.example.test:443")
    check("explain says that nothing can be seen in it", r.returncode == 0 and
          "TLS is not opened: no method, path or credential is possible" in r.stdout, (r.stdout, r.stderr))
    r = s.paddock("policy", "explain", str(s.policy), "CONNECT", "api.example.test:443")
    check("explain says of another host that it is opened", r.returncode != 0 and "to judge each request" in r.stdout,
          (r.returncode, r.stdout, r.stderr))
    r = s.paddock("audit", "verify")
    check("the trail verifies", r.returncode == 0, (r.stdout, r.stderr))


with world() as w, sandbox("tunnel", w, POLICY) as s:
    main(w, s)
finish()
