"""Flow control over HTTP/2, end to end: a client that stops reading, an upstream that does. What waits is bounded in
every process of the way, other streams of the same connection go on, and nothing is lost when the reading goes on."""
import contextlib
import hashlib
import json
import pathlib
import shutil
import subprocess

from http2_servers import Servers
from paddock import TESTS, check, finish, sandbox

MIB = 48
WAITS = 3 << 20         # windows and buffers of one exchange, in all processes together; far less than MIB
WAY = ("paddock-init", "paddock-inspector", "paddock-courier", "paddock-decoder")
POLICY = """\
version: 1
network:
  - name: app
    hosts: [one.example.test, two.example.test]
    methods: [GET, POST]
    addresses: [127.0.0.0/8]
"""


def descendants(root):
    """{pid: name} of all that @root started."""
    parents, names = {}, {}
    for p in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
            names[int(p.name)] = (p / "comm").read_text().strip()
    found, new = {}, {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= {pid: names[pid] for pid in new}
    return found


def memory(root):
    """Bytes that the processes of the way hold, each by name: what is theirs alone."""
    out = {}
    for pid, name in descendants(root).items():
        if not any(program.startswith(name) for program in WAY):       # comm is cut off at 15 characters
            continue
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    out[name] = out.get(name, 0) + int(line.split()[1]) * 1024
    return out


def expected():
    """SHA-256 of what /big sends."""
    digest = hashlib.sha256()
    for i in range(MIB * 16):
        digest.update(bytes([i & 255]) * 65536)
    return digest.hexdigest()


def flow(s, host, version, options):
    p = s.start(["node", "http2_flow.mjs", host, str(MIB)], "--quiet", *options, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def next_line(at):
        line = p.stdout.readline()
        got = json.loads(line) if line.startswith("{") else {}
        if got.get("at") != at:
            check(f"{version}: the client comes to {at!r}", False, (line, p.poll(), p.stderr.read() if p.poll() is not None else ""))
            return None
        return got

    def go_on():
        p.stdin.write("go\n")
        p.stdin.flush()

    try:
        if not next_line("begun"):
            return
        before = memory(p.pid)
        check(f"{version}: all processes of the way are seen", {name[:15] for name in WAY} <= set(before), before)
        for way, what in (("down", "an answer that nobody reads"), ("up", "a body that nobody reads")):
            go_on()
            got = next_line(way)
            if not got:
                return
            now = memory(p.pid)
            grown = sum(now.values()) - sum(before.values())
            print(f"# {version}, {what}: {grown / 1024:.0f} KiB more; {({n: (v - before.get(n, 0)) // 1024 for n, v in now.items()})}", flush=True)
            check(f"{version}: {what} waits where it is, and memory is bounded", grown < WAITS, (before, now))
            check(f"{version}: another stream of the connection is served meanwhile", got["other"] == 200, got)
            if way == "up":
                check(f"{version}: the client is stopped", got["taken"] < MIB << 19, got)
        go_on()
        got = next_line("end")
        if got:
            check(f"{version}: the answer is whole when the client goes on",
                  got["down"] == {"bytes": MIB << 20, "sha256": expected()}, got["down"])
            check(f"{version}: the body is whole when the upstream goes on", got["up"] == {"bytes": MIB << 20, "same": True}, got["up"])
        check(f"{version}: the client ends", p.wait(30) == 0, p.stderr.read())
    finally:
        p.kill()
        p.wait()


servers = Servers()
try:
    with sandbox("flow", policy=POLICY) as s:
        shutil.copy(TESTS / "world" / "http2_flow.mjs", s.workspace)
        flow(s, "one.example.test", "HTTP/2 to HTTP/1.1", servers.options())
        flow(s, "two.example.test", "HTTP/2 to HTTP/2", servers.options())
finally:
    servers.close()
finish()
