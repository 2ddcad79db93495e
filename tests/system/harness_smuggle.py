"""Bytes from inside that two parsers could read in two ways: each is refused, and none arrives."""
import base64
import json

from paddock import check, finish, sandbox, world

POLICY = """\
version: 1
network:
  - name: api
    hosts: [api.example.test]
    methods: [GET]
    paths: [/items, /items/**]
    credential: api
    addresses: [127.0.0.0/8]
credentials:
  api:
    source: {environment: API_TOKEN}
    hosts: [api.example.test]
    strategy: header
    header: {name: authorization, format: "Bearer {secret}"}
    placeholder: {environment: API_TOKEN, prefix: "tok-"}
"""

HOST = "Host: api.example.test\r\n"
HIDDEN = "POST /smuggled HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 0\r\n\r\n"


def get(target="/items", fields=HOST, version="HTTP/1.1", method="GET", body=""):
    return f"{method} {target} {version}\r\n{fields}\r\n{body}"


REFUSED = {
    "Content-Length and Transfer-Encoding": get(fields=HOST + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                                                body="0\r\n\r\n" + HIDDEN),
    "two lengths": get(fields=HOST + "Content-Length: 0\r\nContent-Length: 9\r\n", body=HIDDEN),
    "a list of lengths": get(fields=HOST + "Content-Length: 0, 9\r\n", body=HIDDEN),
    "a length with a sign": get(fields=HOST + "Content-Length: +0\r\n", body=HIDDEN),
    "a length in hex": get(fields=HOST + "Content-Length: 0x1\r\n", body=HIDDEN),
    "an unknown coding": get(fields=HOST + "Transfer-Encoding: xchunked\r\n", body="0\r\n\r\n" + HIDDEN),
    "two codings": get(fields=HOST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                       body="0\r\n\r\n" + HIDDEN),
    "a coding before chunked": get(fields=HOST + "Transfer-Encoding: gzip, chunked\r\n", body="0\r\n\r\n"),
    "a blank before the colon": get(fields=HOST + "Transfer-Encoding : chunked\r\n", body="0\r\n\r\n" + HIDDEN),
    "a field with '_' for '-'": get(fields=HOST + "Transfer_Encoding: chunked\r\n", body="0\r\n\r\n" + HIDDEN),
    "a folded line": get(fields=HOST + "X-A: b\r\n c: d\r\n"),
    "a bare LF": get(fields=HOST + "X-A: b\nX-C: d\r\n"),
    "a bare CR": get(fields=HOST + "X-A: b\rX-C: d\r\n"),
    "a NUL": get(fields=HOST + "X-A: b\0c\r\n"),
    "an empty name": get(fields=HOST + ": b\r\n"),
    "a second Host": get(fields=HOST + "Host: evil.example.test\r\n"),
    "no Host": get(fields=""),
    "a Host with user information": get(fields="Host: x@api.example.test\r\n"),
    "a Host with another port": get(fields="Host: api.example.test:8443\r\n"),
    "another host in the target": get("https://evil.example.test/items"),
    "another scheme in the target": get("http://api.example.test/items"),
    "user information in the target": get("https://x@api.example.test/items"),
    "Connection that names Host": get(fields=HOST + "Connection: host\r\n"),
    "Connection that names the framing": get(fields=HOST + "Connection: transfer-encoding\r\n"
                                             "Transfer-Encoding: chunked\r\n", body="0\r\n\r\n"),
    "HTTP/0.9": "GET /items\r\n",
    "HTTP/2 on a connection of HTTP/1.1": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": get(version="HTTP/1.2"),
    "chunks in HTTP/1.0": get(version="HTTP/1.0", fields=HOST + "Transfer-Encoding: chunked\r\n", body="0\r\n\r\n"),
    "an expectation that is not 100-continue": get(fields=HOST + "Expect: 200-ok\r\n"),
    "CONNECT": get("api.example.test:443", method="CONNECT"),
    "a WebSocket": get(fields=HOST + "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    "a method in lower case": get(method="get", fields=HOST + "Connection: close\r\n"),
    "a dot segment": get("/items/../smuggled"),
    "an encoded dot segment": get("/items/%2e%2E/smuggled"),
    "a dot segment between encoded slashes": get("/items/%2e%2e%2fsmuggled"),
    "a dot segment between encoded backslashes": get("/items/..%5c..%5csmuggled"),
    "a dot segment with a parameter": get("/items/..;a=b/smuggled"),
    "a backslash": get("/items/..\\smuggled"),
    "a NUL in the path": get("/items/%00"),
    "a blank in the target": get("/items /x"),
    "a fragment": get("/items#x"),
    "slashes that fold": get("//smuggled", fields=HOST + "Connection: close\r\n"),
    "a chunk of a negative size": get(fields=HOST + "Transfer-Encoding: chunked\r\n", body="-1\r\n\r\n" + HIDDEN),
    "a chunk's size with a prefix": get(fields=HOST + "Transfer-Encoding: chunked\r\n", body="0x0\r\n\r\n" + HIDDEN),
    "a chunk's size that overflows": get(fields=HOST + "Transfer-Encoding: chunked\r\n",
                                         body="10000000000000000\r\n\r\n" + HIDDEN),
    "a chunk that ends with LF": get(fields=HOST + "Transfer-Encoding: chunked\r\n", body="0\n\n" + HIDDEN),
    "a blank after a chunk's size": get(fields=HOST + "Transfer-Encoding: chunked\r\n", body="0 \r\n\r\n" + HIDDEN),
    "a chunk longer than it says": get(fields=HOST + "Transfer-Encoding: chunked\r\n", body="1\r\nab\r\n0\r\n\r\n"),
}

# What is unusual and clear: one request arrives, and its body is a body.
TAKEN = {
    "a request inside of a body": get(fields=HOST + f"Content-Length: {len(HIDDEN)}\r\nConnection: close\r\n", body=HIDDEN),
    "a request inside of a chunk": get(fields=HOST + "Transfer-Encoding: chunked\r\nConnection: close\r\n",
                                       body=f"{len(HIDDEN):x};a=\"b\"\r\n{HIDDEN}\r\n0\r\n\r\n"),
    "a name in upper case, with a dot": get(fields="Host: API.Example.Test.\r\nConnection: close\r\n"),
    "the default port": get(fields="Host: api.example.test:443\r\nConnection: close\r\n"),
    "an absolute target": get("https://api.example.test/items", fields=HOST + "Connection: close\r\n"),
    "HTTP/1.0": get(version="HTTP/1.0"),
}

CLIENT = """
import base64, json, socket, ssl, sys
context = ssl.create_default_context()
def send(data):
    try:
        with socket.create_connection(('api.example.test', 443), 20) as plain:
            with context.wrap_socket(plain, server_hostname='api.example.test') as s:
                s.settimeout(20)
                s.sendall(data)
                answer = b''
                while True:
                    more = s.recv(65536)
                    if not more:
                        return answer
                    answer += more
    except OSError as e:
        return b'closed'
cases = json.load(open('cases.json'))
json.dump({k: base64.b64encode(send(base64.b64decode(v))).decode() for k, v in cases.items()}, open('answers.json', 'w'))
"""


def play(s, cases):
    """Sends each from inside, on a connection of its own; its answer's bytes by name."""
    encoded = {k: base64.b64encode(v.encode("latin-1")).decode() for k, v in cases.items()}
    (s.workspace / "cases.json").write_text(json.dumps(encoded))
    (s.workspace / "client.py").write_text(CLIENT)
    (s.workspace / "answers.json").unlink(missing_ok=True)
    r = s.run(["python3", "client.py"], "--quiet", env={"API_TOKEN": w.info["tokens"]["api"]}, timeout=240)
    try:
        answers = json.loads((s.workspace / "answers.json").read_text())
    except OSError:
        answers = {}
    check(f"{len(cases)} cases were played", len(answers) == len(cases), (r.stdout, r.stderr))
    return {k: base64.b64decode(v) for k, v in answers.items()}


with world() as w, sandbox("smuggle", w, POLICY) as s:
    answers = play(s, REFUSED)
    for name, answer in answers.items():
        status = answer.split(b" ", 2)[1:2]
        check(f"{name}: refused", answer in (b"", b"closed") or (status and status[0][:1] in b"45"), answer[:300])
    # the head of a request whose body turns out to be malformed may have left by then
    arrived = [r for r in w.requests() if r.get("method") and (r["method"], r["url"]) != ("GET", "/items")]
    check("nothing of all that was hidden arrived", not arrived, arrived)
    for name, data in TAKEN.items():
        w.forget()
        answer = play(s, {name: data}).get(name, b"")
        arrived = [(r.get("method"), r.get("url")) for r in w.requests()]
        check(f"{name}: one request, as it was decided on",
              answer.split(b" ", 2)[1:2] == [b"200"] and arrived == [("GET", "/items")], (answer[:300], arrived))
    w.forget()
    answer = play(s, {"two": get() + get(method="POST", fields=HOST + "Content-Length: 0\r\nConnection: close\r\n")})["two"]
    check("of two requests in one write, each is decided on",
          answer.startswith(b"HTTP/1.1 200") and answer.count(b"HTTP/1.1 403") == 1 and
          [r.get("method") for r in w.requests()] == ["GET"], (answer[:600], w.requests()))
finish()
