"""paddock.py - what every system test needs: the world, a run of Paddock, its trail, results.

A test prints "ok - ..." or "not ok - ..." per claim and goes on, so that one run shows all that
is wrong. check() is the only way to claim; skip() says what could not be tried.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BASE = pathlib.Path(os.environ.get("PADDOCK_CHECK", "/var/tmp/paddock-check"))
BIN = BASE / "bin"
TESTS = BASE / "tests"
MACHINE = "namespace" if os.environ.get("PADDOCK_GROUP", "harness") == "harness" else "qemu"
SLOW = MACHINE == "qemu"
failures = 0


def api_policy(methods="GET"):
    """One host with its credential, and nothing else."""
    return f"""\
version: 1
network:
  - name: api
    hosts: [api.example.test]
    methods: [{methods}]
    credential: api
    addresses: [127.0.0.0/8]
credentials:
  api:
    source: {{environment: API_TOKEN}}
    hosts: [api.example.test]
    strategy: header
    header: {{name: authorization, format: "Bearer {{secret}}"}}
    placeholder: {{environment: API_TOKEN, prefix: "tok-"}}
"""


def check(what, good, detail=""):
    """One claim. `detail` (anything) is shown only when it does not hold."""
    global failures
    if good:
        print(f"ok - {what}", flush=True)
        return True
    failures += 1
    text = str(detail)
    print(f"not ok - {what}", flush=True)
    for line in text[-3000:].splitlines():
        print(f"#   {line}", flush=True)
    return False


def skip(what, why):
    """A claim that cannot be put to the test here: counted by itself, never as one that holds."""
    print(f"skip - {what}: {why}", flush=True)


def finish():
    sys.exit(1 if failures else 0)


class World:
    """The stand-in servers of tests/world, on loopback, and what they were asked."""

    def __init__(self, directory, node="node"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [node, str(TESTS / "world" / "world.mjs"), "--dir", str(self.directory)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        path = self.directory / "world.json"
        while not path.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("the test world did not come up")
            time.sleep(0.05)
        self.info = json.loads(path.read_text())

    def requests(self, **match):
        path = self.directory / "requests.jsonl"
        if not path.exists():
            return []
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return [r for r in rows if all(r.get(k) == v for k, v in match.items())]

    def forget(self):
        """Forgets what arrived so far."""
        path = self.directory / "requests.jsonl"
        if path.exists():
            os.truncate(path, 0)

    def options(self):
        """--resolve and --upstream-ca so that real host names lead here."""
        out = ["--upstream-ca", self.info["ca"]]
        for host, port in self.info["hosts"].items():
            out += ["--resolve", f"{host}:443:127.0.0.1:{port}"]
        return out

    def close(self):
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Sandbox:
    """A place with its own state, cache, workspace and policy, and runs of Paddock in it."""
    explicit = False        # does a client know that there is a gate? (outside.py)

    def __init__(self, name, world=None, policy=None):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"paddock-{name}-", dir="/tmp"))
        self.workspace = self.root / "workspace"
        self.workspace.mkdir()
        self.state = self.root / "state"
        self.runtime = self.root / "runtime"
        self.runtime.mkdir(mode=0o700)
        self.world = world
        self.env = {
            "HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(self.state), "XDG_RUNTIME_DIR": str(self.runtime),
            "PADDOCK_LOG": os.environ.get("PADDOCK_LOG", "note"),
            "PADDOCK_INIT": str(BIN / "paddock-init"),
        }
        self.policy = None
        if policy is not None:
            self.set_policy(policy)

    def set_policy(self, text):
        self.policy = self.root / "policy.yaml"
        self.policy.write_text(text)

    def program(self):
        return str(BIN / ("paddock-harness" if MACHINE == "namespace" else "paddock"))

    def arguments(self, command, *options):
        out = [self.program(), "run", "--machine", MACHINE, "--workspace", str(self.workspace)]
        if self.policy:
            out += ["--policy", str(self.policy)]
        if self.world:
            out += self.world.options()
        return out + list(options) + ["--", *command]

    def run(self, command, *options, env=None, timeout=None, **kwargs):
        """Runs `paddock run`; text output; never raises for a non-zero exit."""
        timeout = timeout or (300 if SLOW else 60)
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        try:
            return subprocess.run(self.arguments(command, *options), env={**self.env, **(env or {})}, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **kwargs)
        except subprocess.TimeoutExpired as e:
            def text(b):
                return b.decode(errors="replace") if isinstance(b, bytes) else (b or "")
            return subprocess.CompletedProcess(e.cmd, -999, text(e.stdout), text(e.stderr) + "\n(timed out)")

    def start(self, command, *options, env=None, **kwargs):
        return subprocess.Popen(self.arguments(command, *options), env={**self.env, **(env or {})}, **kwargs)

    def sh(self, script, *options, **kwargs):
        return self.run(["sh", "-c", script], *options, **kwargs)

    def paddock(self, *arguments, **kwargs):
        return subprocess.run([self.program(), *arguments], env=self.env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, **kwargs)

    def trails(self):
        base = self.state / "paddock" / "trails"
        return sorted(base.iterdir(), key=lambda p: p.stat().st_mtime) if base.exists() else []

    def records(self, kind=None):
        """Records of the newest trail."""
        trails = self.trails()
        if not trails:
            return []
        rows = []
        for segment in sorted(trails[-1].glob("*.jsonl")):
            for line in segment.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    rows.append(json.loads(line))
        return [r for r in rows if kind is None or r["kind"] == kind]

    def live(self):
        """State of the runs that are alive, as `paddock ps --json` has it."""
        return json.loads(self.paddock("ps", "--json").stdout or "[]")

    def left_behind(self):
        """What a run should not leave: run directories, and processes that know of this root."""
        runs = list((self.runtime / "paddock").glob("*")) if (self.runtime / "paddock").exists() else []
        processes = []
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                line = (p / "cmdline").read_bytes()
                if (p / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                    continue      # ended; whoever adopted it has not looked yet
                if orphaned(int(p.name)) or str(self.root).encode() in line:
                    if b"python" not in line and b"node" not in line.split(b"\0")[0]:
                        processes.append(f"{p.name} {line[:120]!r}")
        return [str(r) for r in runs] + processes

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)


@contextlib.contextmanager
def sandbox(name, world=None, policy=None):
    s = Sandbox(name, world, policy)
    try:
        yield s
    finally:
        s.close()


@contextlib.contextmanager
def world(node="node"):
    directory = tempfile.mkdtemp(prefix="paddock-world-", dir="/tmp")
    w = World(directory, node)
    try:
        yield w
    finally:
        w.close()
        shutil.rmtree(directory, ignore_errors=True)


class Gate:
    """`paddock gate` of a sandbox's place, on a port of its own; clients are ours, outside of any sandbox."""

    def __init__(self, s, *options, env=None, descriptors=None):
        self.sandbox = s
        arguments = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        arguments += [str(BIN / "paddock"), "gate", "--listen", "127.0.0.1:0", "--quiet"]
        if s.policy:
            arguments += ["--policy", str(s.policy)]
        if s.world:
            arguments += s.world.options()
        self.process = subprocess.Popen([*arguments, *options], env={**s.env, **(env or {})}, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the gate did not come up: {self.process.stderr.read()}")
        self.info = json.loads(line)
        self.port = int(self.info["listen"].rsplit(":", 1)[1])
        lines = pathlib.Path(self.info["environment"]).read_text().splitlines()
        self.env = dict(line.split("=", 1) for line in lines)

    def run(self, command, env=None, timeout=60, **kwargs):
        return subprocess.run(command, env={**self.sandbox.env, **self.env, **(env or {})}, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def close(self):
        """Ends it; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -999


@contextlib.contextmanager
def gate(s, *options, env=None, descriptors=None):
    g = Gate(s, *options, env=env, descriptors=descriptors)
    try:
        yield g
    finally:
        if g.process.poll() is None:
            g.close()


def orphaned(pid):
    """Is it one of Paddock's processes, and nobody's any more? (Others may be running Paddock too.)"""
    name = first = (pathlib.Path("/proc") / str(pid) / "comm").read_text().strip()
    while pid > 1:
        name = (pathlib.Path("/proc") / str(pid) / "comm").read_text().strip()
        pid = int((pathlib.Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return all(n.startswith("paddock-") and n != "paddock-harness" for n in (first, name))


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return condition()


def kill(pid, sig=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)
