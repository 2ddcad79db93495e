"""outside.py - the explicit front: what runs in a Sandbox elsewhere runs here on the host, through a `paddock gate`.

An Outside is a Sandbox in all that the tasks of clients.py ask of one. Each run has a gate of its own, whose environment file
is all that the client is told; its home is empty at first, and only loopback is there to be reached.
"""
import contextlib
import subprocess

from paddock import BASE, Sandbox, gate, wait_for


class Outside(Sandbox):
    explicit = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.home = self.root / "home"
        self.home.mkdir()

    def run(self, command, *options, env=None, timeout=None, **kwargs):
        with gate(self, *gate_options(options), env=env) as g:
            told = {"HOME": str(self.home), "NODE_PATH": str(BASE / "clients" / "node_modules"), **variables(options)}
            try:
                return g.run(command, env=told, timeout=timeout or 60, cwd=self.workspace, **kwargs)
            except subprocess.TimeoutExpired as e:
                parts = [b.decode(errors="replace") if b else "" for b in (e.stdout, e.stderr)]
                return subprocess.CompletedProcess(command, -999, parts[0], parts[1] + "\n(timed out)")
            finally:
                wait_for(self.settled, 5)

    def settled(self):
        """Has every connection its end on record?"""
        begun = [x["claim"] for x in self.records("connection")]
        return begun.count("connection") <= begun.count("connection_end")


def variables(options):
    """What `paddock run --env NAME=VALUE` would give to the agent."""
    return dict(value.split("=", 1) for name, value in zip(options, options[1:]) if name == "--env")


def gate_options(options):
    out = [o for o in options if o != "--quiet"]
    while "--env" in out:
        at = out.index("--env")
        del out[at:at + 2]
    return out


@contextlib.contextmanager
def outside(name, world=None, policy=None):
    s = Outside(name, world, policy)
    try:
        yield s
    finally:
        s.close()
