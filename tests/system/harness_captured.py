"""A guest that is the attacker's from its first byte, raw on all three ports: each run ends in time, closed,
with nothing left and a trail that verifies; nothing of it reaches the user's terminal as a sequence."""
import os
import shutil
import signal
import subprocess
import time

from paddock import BIN, MACHINE, check, finish, sandbox

# mode -> exit codes that are an honest end
ENDS = {
    "hello-twice": {125}, "hello-twice-net": {125}, "hello-twice-files": {125},
    "output-without-credit": {125}, "too-long": {125}, "exit-twice": {3, 4, 125}, "exit-and-flood": {127, 125},
    "fuse-length": {125}, "fuse-before-init": {125}, "garbage": {125}, "opens-files": {125},
}
# what may go on for ever, and takes nothing but its own time: SIGTERM ends it
GOES_ON = ["silent", "silent-after-hello", "never-configured", "claims", "opens-control", "opens-net"]


def use(s, mode):
    path = s.root / ("captured." + mode)
    shutil.copy(BIN / "captured", path)
    path.chmod(0o755)
    s.env["PADDOCK_INIT"] = str(path)


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def ends(s):
    for mode, codes in ENDS.items():
        use(s, mode)
        began = time.monotonic()
        r = s.run(["true"], "--quiet", timeout=60)
        took = time.monotonic() - began
        check(f"captured guest: {mode}: ends in time ({took:.1f} s), exit code {r.returncode}",
              r.returncode in codes, (r.returncode, r.stderr[-800:]))
        check(f"captured guest: {mode}: no sequence reaches the user", "\x1b" not in r.stdout + r.stderr, r.stderr[-300:])
        v = s.paddock("audit", "verify", s.trails()[-1].name)
        check(f"captured guest: {mode}: the trail verifies", v.returncode == 0, (v.stdout, v.stderr))


def goes_on(s):
    for mode in GOES_ON:
        use(s, mode)
        p = s.start(["true"], "--quiet", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(4)
        live = s.live()
        sizes = {k: memory(v) for k, v in (live[0].get("processes", {}) if live else {}).items() if v}
        check(f"captured guest: {mode}: no process of the host grows", all(n < 200_000 for n in sizes.values()), sizes)
        p.send_signal(signal.SIGTERM)
        began = time.monotonic()
        try:
            out, err = p.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            check(f"captured guest: {mode}: SIGTERM ends it", False, err[-500:])
            continue
        check(f"captured guest: {mode}: SIGTERM ends it ({time.monotonic() - began:.1f} s, {p.returncode})",
              p.returncode in (143, 125), (p.returncode, err[-500:]))
        check(f"captured guest: {mode}: no sequence reaches the user", b"\x1b" not in out + err, err[-300:])


if MACHINE == "namespace":
    with sandbox("captured") as s:
        ends(s)
        goes_on(s)
        runs = list((s.runtime / "paddock").glob("*"))
        check("captured guests: nothing is left behind", not runs, runs)
finish()
