"""A command runs as it would outside: bytes, streams, codes, signals, files; and bad input starts nothing."""
import json
import os
import pty
import select
import signal
import subprocess
import time

from paddock import check, finish, sandbox, wait_for, SLOW


def streams(s):
    r = s.run(["sh", "-c", "printf out; printf err >&2; exit 7"], "--quiet")
    check("stdout and stderr stay apart", r.stdout == "out" and r.stderr.endswith("err"), (r.stdout, r.stderr))
    check("the command's exit code is ours", r.returncode == 7, r.returncode)
    data = os.urandom(3_000_000)
    r = subprocess.run(s.arguments(["cat"], "--quiet"), env=s.env, input=data, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=300)
    check("three megabytes of any bytes pass through pipes unchanged", r.stdout == data, (len(r.stdout), r.stderr[-500:]))
    r = s.run(["sh", "-c", "kill -TERM $$"], "--quiet")
    check("a command ended by a signal gives 128 + signal", r.returncode == 143, (r.returncode, r.stderr))
    r = s.run(["no-such-command-here"], "--quiet")
    check("a command that does not exist gives 127", r.returncode == 127, (r.returncode, r.stderr))
    (s.workspace / "plain").write_text("x")
    r = s.run(["./plain"], "--quiet")
    check("a file that cannot be executed gives 126", r.returncode == 126, (r.returncode, r.stderr))
    r = s.run(["sh", "-c", "echo $GREETING; pwd"], "--quiet", "--env", "GREETING=hello there")
    check("--env reaches the command, which starts in the workspace",
          r.stdout == f"hello there\n{s.workspace}\n", (r.stdout, r.stderr))
    r = s.run(["sleep", "100"], "--timeout", "2s")
    check("--timeout ends it with 124", r.returncode == 124, (r.returncode, r.stderr))
    r = s.run(["sh", "-c", "head -c 100000 /dev/zero & sleep 0.2; echo done"], "--quiet")
    check("output of a background child is not lost", len(r.stdout) >= 100000, len(r.stdout))


def workspace(s):
    (s.workspace / "input").write_text("from outside")
    r = s.sh("cat input && mkdir -p a/b && echo inside > a/b/c && chmod 755 a/b/c && ln -s c a/b/l && ls -l a/b && "
             "mv a/b/c a/b/d && cat a/b/d", "--quiet")
    check("files of the workspace are read and written in place",
          r.returncode == 0 and (s.workspace / "a/b/d").read_text() == "inside\n", (r.stdout, r.stderr))
    check("what the agent writes belongs to the user", (s.workspace / "a/b/d").stat().st_uid == os.getuid())
    r = s.sh("ls -A $HOME 2>/dev/null; cat $HOME/.ssh/id_rsa; ls /home /root", "--quiet")
    check("nothing else of the host's home is there", r.stdout.split() in (["/home:", "/root:"], []), (r.stdout, r.stderr))
    r = s.sh("echo x > /usr/bin/new 2>&1; test ! -e /usr/bin/new || echo only in the overlay", "--quiet")
    check("the host's tools are not changed", not os.path.exists("/usr/bin/new"), r.stdout)


def terminal(s):
    pid, fd = pty.fork()
    if pid == 0:
        args = s.arguments(["sh", "-c", "test -t 0 && test -t 1 && echo is-a-tty; stty size; read x; echo got:$x"], "--quiet")
        os.execve(args[0], args, {**s.env, "TERM": "xterm-256color"})
    seen = b""
    sent = False
    deadline = time.monotonic() + (120 if SLOW else 30)
    while time.monotonic() < deadline:
        r, _, _ = select.select([fd], [], [], 0.5)
        if r:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        if b"is-a-tty" in seen and not sent:
            sent = True
            os.write(fd, b"typed\n")
    _, status = os.waitpid(pid, 0)
    check("a terminal is a terminal inside, and what is typed arrives",
          b"is-a-tty" in seen and b"got:typed" in seen and os.WEXITSTATUS(status) == 0, seen)


def interrupts(s):
    p = s.start(["sh", "-c", "trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.1; done"], "--quiet",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    check("SIGINT reaches the command", p.returncode == 3 and "caught" in out, (p.returncode, out, err))
    p = s.start(["sh", "-c", "trap '' INT TERM; echo up; while :; do sleep 0.1; done"], "--quiet",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    began = time.monotonic()
    p.send_signal(signal.SIGINT)
    time.sleep(0.3)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=60)
    check("SIGINT twice ends what ignores it", p.returncode == 130 and time.monotonic() - began < 20, p.returncode)


def wall_time(s):
    """Of the policy, and the shorter of it and --timeout."""
    usual = s.policy.read_text()
    s.set_policy("version: 1\nlimits: {wall_time: 2s}\n")
    for options, least in (([], 1.5), (["--timeout", "100s"], 1.5), (["--timeout", "1s"], 0.5)):
        began = time.monotonic()
        r = s.run(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], "--quiet", *options)
        took = time.monotonic() - began
        check(f"the policy's wall_time ends what ignores it, with 124 ({' '.join(options) or 'alone'})",
              r.returncode == 124 and r.stdout == "up\n" and least < took < (60 if SLOW else 20), (r.returncode, took, r.stderr))
    stop = s.records("stop")
    check("the trail says why it ended", stop and stop[-1].get("result") == "time limit" and stop[-1].get("exit_code") == 124, stop)
    r = s.run(["sh", "-c", "echo in time"], "--quiet")
    check("what ends in time is not touched", r.returncode == 0 and r.stdout == "in time\n", (r.returncode, r.stderr))
    s.policy.write_text(usual)


def doctor(s):
    """What this host lacks. Here nothing is lacked; then one thing after the other is taken away."""
    needs = ["namespaces", "seccomp", "landlock", "qemu", "erofs", "machine", "state", "cache", "runtime"]

    def findings(wrapper=(), **env):
        r = subprocess.run([*wrapper, s.program(), "doctor", "--json"], env={**s.env, **env}, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        got = {f["check"]: f for f in json.loads(r.stdout)}
        bad = [name for name, f in got.items() if f["health"] == "BAD"]
        check("doctor: names every need, a mend with each that is not met, and the exit code to it",
              list(got) == needs and all(f["text"] and (f["health"] == "ok") == (not f["mend"]) for f in got.values()) and
              r.returncode == (1 if bad else 0), (r.returncode, r.stdout, r.stderr))
        return got, bad

    got, bad = findings()
    check("doctor: an ordinary user of this host lacks nothing", bad == [], got)
    r = s.paddock("doctor")
    check("doctor: in words", r.returncode == 0 and r.stdout.endswith("\nPaddock can run here\n") and
          [line.split()[1] for line in r.stdout.splitlines() if line[:1] not in (" ", "", "P")] == needs, r.stdout)
    got, bad = findings(PATH="/nowhere")
    check("doctor: programs that are not installed, with their package", {"qemu", "erofs"} <= set(bad) and
          got["erofs"]["mend"] == "apt install erofs-utils" and got["qemu"]["mend"] == "apt install qemu-system-x86", got)
    got, bad = findings(PADDOCK_KERNEL="/nowhere")
    check("doctor: a kernel for the guest", bad == ["machine"] and "PADDOCK_KERNEL" in got["machine"]["text"], got)
    got, bad = findings(XDG_STATE_HOME="/proc/nowhere")
    check("doctor: a directory that cannot be written", bad == ["state"] and "/proc/nowhere" in got["state"]["text"], got)
    without = ("unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"", "-")
    got, bad = findings(without)
    check("doctor: user namespaces that cannot be made", "namespaces" in bad and "sysctl" in got["namespaces"]["mend"], got)
    r = s.paddock("doctor", "--verbose")
    check("doctor: an argument that it does not know", r.returncode == 2 and "--verbose" in r.stderr and not r.stdout,
          (r.returncode, r.stderr))


def commands(s):
    p = s.start(["sleep", "1000"], "--quiet", "--name", "sleeper", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
    live = wait_for(lambda: [r for r in s.live() if r.get("name") == "sleeper"], 60)
    check("paddock ps shows a live run", bool(live), s.paddock("ps").stdout)
    wait_for(lambda: s.records("start"), 60)
    time.sleep(2)
    r = s.paddock("stop", "sleeper")
    check("paddock stop ends it by name", r.returncode == 0 and p.wait(30) == 143, (r.stderr, p.returncode))
    r = s.paddock("stop", "sleeper")
    check("paddock stop of what is not there says so", r.returncode != 0 and "no running sandbox" in r.stderr, r.stderr)


def bad_input(s):
    bad = s.root / "bad.yaml"
    bad.write_text("version: 1\nnetwork:\n  - hosts: [a.example]\n    metods: [GET]\n")
    cases = [
        (["--policy", str(bad)], "bad.yaml:4:5", "an unknown key of the policy"),
        (["--policy", str(s.root / "none.yaml")], "No such file", "a policy that is not there"),
        (["--memory", "10"], "--memory", "too little memory"),
        (["--memory", "lots"], "--memory", "memory that is no size"),
        (["--cpus", "0"], "--cpus", "no CPU"),
        (["--timeout", "soon"], "--timeout", "a timeout that is no duration"),
        (["--env", "1X=2"], "--env", "a variable name that is none"),
        (["--env", "SURELY_NOT_SET_HERE"], "--env", "a variable that is not set"),
        (["--name", "a b"], "--name", "a name with a space"),
        (["--resolve", "x"], "--resolve", "a resolve without its parts"),
        (["--resolve", "a.example:443:elsewhere"], "--resolve", "a resolve to a name"),
        (["--upstream-ca", "/dev/null"], "--upstream-ca", "a CA that is no certificate"),
        (["--workspace", "/"], "--workspace", "the root as workspace"),
        (["--workspace", "/nowhere/at/all"], "--workspace", "a workspace that is not there"),
        (["--machine", "abacus"], "--machine", "a machine that does not exist"),
        (["--no-such"], "--no-such", "an option that does not exist"),
    ]
    for options, words, what in cases:
        before = len(s.trails())
        r = subprocess.run([s.program(), "run", *options, "--", "true"], env=s.env, text=True, cwd=s.workspace,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        line = r.stderr.strip().splitlines()
        check(f"{what}: one line with place and mend, exit 125, nothing started",
              r.returncode == 125 and len(line) == 1 and words in r.stderr and len(s.trails()) == before,
              (r.returncode, r.stderr))


def bad_surroundings(s):
    """Variables and images that are not what they should be."""
    empty = s.root / "empty.erofs"
    empty.write_bytes(b"not a file system" * 500)
    cases = [
        ([], {"XDG_STATE_HOME": "relative/path"}, "XDG_STATE_HOME", "a state directory that is not absolute"),
        ([], {"XDG_RUNTIME_DIR": "relative"}, "XDG_RUNTIME_DIR", "a runtime directory that is not absolute"),
        ([], {"XDG_STATE_HOME": "/proc/nowhere"}, "trail", "a state directory that cannot be made"),
    ]
    if SLOW:
        s.run(["true"])      # the image is there
        cases += [
            (["--image", "/nowhere/image.erofs"], {}, "image", "an image that is not there"),
            (["--image", str(empty)], {}, "erofs", "an image that is none"),
            (["--image", "fedora"], {}, "image", "an image of no known kind"),
            ([], {"PADDOCK_KERNEL": "/nowhere"}, "PADDOCK_KERNEL", "a kernel that is not there"),
            ([], {"XDG_CACHE_HOME": "cache"}, "XDG_CACHE_HOME", "a cache that is not absolute"),
        ]
    for options, env, words, what in cases:
        r = s.run(["true"], *options, env=env)
        line = r.stderr.strip().splitlines()
        check(f"{what}: one line that names it, exit 125, nothing started",
              r.returncode == 125 and len(line) == 1 and words in r.stderr, (r.returncode, r.stderr))


with sandbox("basics", policy="version: 1\n") as s:
    streams(s)
    workspace(s)
    terminal(s)
    interrupts(s)
    wall_time(s)
    doctor(s)
    commands(s)
    bad_input(s)
    bad_surroundings(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
