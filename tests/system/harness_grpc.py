"""gRPC of all four kinds and WebSockets of `ws`, with real libraries on both ends, in the sandbox and outside through the gate.

needs: clients
"""
import json
import pathlib
import shutil
import subprocess
import tempfile

from clients import NODE_24, copy_modules, spoken
from outside import outside
from paddock import BASE, TESTS, check, finish, sandbox, wait_for

MODULES = BASE / "clients"
SECRET = "grpc-secret-0123456789abcdef"
POLICY = """\
version: 1
network:
  - name: echo
    hosts: [grpc.example.test]
    methods: [POST]
    paths: ["/test.Echo/Unary", "/test.Echo/Gather", "/test.Echo/Spread", "/test.Echo/Chat"]
    credential: token
    addresses: [127.0.0.0/8]
  - name: socket
    hosts: [ws.example.test]
    methods: [GET]
    websocket: {deny: ["drop *"], binary: true}
    addresses: [127.0.0.0/8]
credentials:
  token:
    source: {environment: GRPC_TOKEN}
    hosts: [grpc.example.test]
    header: {name: authorization, format: "Bearer {secret}"}
"""


def judge(got, which):
    check(f"{which}: unary, its trailers, and the injected credential",
          got["unary"] == {"said": "echo hello", "trailer": "Bearer", "status": 0}, got["unary"])
    check(f"{which}: a status that is an error", got["failed"].get("code") == 9 and got["failed"]["details"] == "as asked",
          got["failed"])
    check(f"{which}: a call that no rule allows is PERMISSION_DENIED", got["denied"].get("code") == 7, got["denied"])
    check(f"{which}: client streaming, 2 MB", got["gather"] == "2000000", got["gather"])
    check(f"{which}: server streaming", got["spread"] == 50, got["spread"])
    check(f"{which}: bidirectional, turn by turn", got["chat"] == [f"re: turn {i}" for i in range(5)], got["chat"])
    check(f"{which}: sixty calls at once", got["many"] == 60, got["many"])
    for name in ("plain", "deflate"):
        r = got[name]
        check(f"{which}: ws ({name}): messages both ways, a subprotocol, the close code",
              r["messages"] == ["echo one", 300000, "echo two"] and r["protocol"] == "b.v2" and r["code"] == 4321 and
              r["reason"] == "as asked", r)
        check(f"{which}: ws ({name}): no extension is agreed on", not r["extensions"], r)
    r = got["forbidden"]
    check(f"{which}: ws: a message that a rule denies closes with 1008", r.get("code") == 1008 and not r["messages"], r)


def use(s, front, *options):
    shutil.copy(TESTS / "world" / "grpc_client.cjs", s.workspace / "client.cjs")
    for which, node in (("node 20", "node"), ("node 24", NODE_24)):
        which = f"{front}, {which}"
        r = s.run([node, "client.cjs"], *options, env={"GRPC_TOKEN": SECRET}, timeout=60)
        if check(f"{which}: the client ends", r.returncode == 0, (r.returncode, r.stdout[-2000:], r.stderr[-2000:])):
            judge(json.loads(r.stdout), which)
        told = spoken(s, "grpc.example.test"), spoken(s, "ws.example.test")
        check(f"{which}: HTTP/2 on both sides for gRPC, HTTP/1.1 for ws, says the trail",
              told == (({"h2"}, {"h2"}), ({"http/1.1"}, {"http/1.1"})), told)
    messages = [x for x in s.records() if "message" in x]
    check(f"{front}: each message of the agent's is on record", len(messages) >= 9, [x["kind"] for x in s.records()][-20:])
    r = s.paddock("audit", "verify")
    check(f"{front}: the trail verifies", r.returncode == 0, (r.stdout, r.stderr))


directory = pathlib.Path(tempfile.mkdtemp(prefix="paddock-grpc-", dir="/tmp"))
server = subprocess.Popen(["node", str(TESTS / "world" / "grpc.mjs"), "--dir", str(directory), "--modules", str(MODULES)],
                          stdin=subprocess.PIPE)
try:
    wait_for(lambda: (directory / "grpc.json").exists(), 30)
    info = json.loads((directory / "grpc.json").read_text())
    options = ["--quiet", "--upstream-ca", info["ca"]]
    for host, port in info["hosts"].items():
        options += ["--resolve", f"{host}:443:127.0.0.1:{port}"]
    with sandbox("grpc", None, POLICY) as s:
        copy_modules(s.workspace, "ws", "@grpc/grpc-js")
        use(s, "sandbox", *options)
    with outside("grpc", None, POLICY) as s:
        use(s, "gate", *options)
finally:
    server.stdin.close()
    server.wait(10)
    shutil.rmtree(directory, ignore_errors=True)
finish()
