"""kill -9 of each process at each stage, read-only state: the gate closes, the trail holds (I3, I8)."""
import os
import pathlib
import subprocess
import time

from paddock import MACHINE, api_policy, check, finish, kill, sandbox, skip, wait_for, world

POLICY = api_policy()
LOOP = "i=0; while :; do i=$((i+1)); curl -sS -m 5 -o /dev/null https://api.example.test/public?n=$i; done"
SLOW = "curl -sS -m 60 -o /dev/null 'https://api.example.test/slow?ms=20000'"
PROCESSES = ["paddock", "paddock-keeper", "paddock-decoder", "paddock-courier", "paddock-inspector", "paddock-files",
             "paddock-terminal", "machine"]


def pid_of(s, name):
    live = s.live()
    if not live:
        return 0
    return live[0].get("pid", 0) if name == "paddock" else live[0].get("processes", {}).get(name, 0)


def arrived_without_intent(s):
    """Requests that reached the upstream and have no intent in the trail."""
    urls = {r.get("url", "") for r in s.records("intent")}
    return [r["url"] for r in w.requests() if "url" in r and not any(u.endswith(r["url"]) for u in urls)]


def one(name, stage):
    w.forget()
    with sandbox("kill", w, POLICY) as s:
        s.env["API_TOKEN"] = w.info["tokens"]["api"]
        script = SLOW if stage == "in flight" else LOOP
        p = s.start(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True)
        pid = wait_for(lambda: pid_of(s, name), 30)
        if stage == "in flight":
            wait_for(lambda: s.records("intent"), 30)
        elif stage == "under load":
            wait_for(lambda: len(s.records("outcome")) > 3, 30)
        kill(pid or 0x7fffffff)
        try:
            _, err = p.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            p.kill()
            err = "(hung)"
        expected = -9 if name == "paddock" else 125
        good = p.returncode == expected
        if name != "paddock":
            good = good and ("ended unexpectedly" in err or "the guest is gone" in err)
        check(f"kill -9 of {name} {stage}: the run ends, and says so", pid and good, (pid, p.returncode, err))
        wait_for(lambda: not [x for x in s.left_behind() if "paddock-" in x and "/paddock-kill" not in x], 5)
        s.paddock("ps")      # sweeps what a killed supervisor left
        check(f"kill -9 of {name} {stage}: nothing is left behind", not s.left_behind(), s.left_behind())
        check(f"kill -9 of {name} {stage}: nothing arrived without an intent", not arrived_without_intent(s),
              arrived_without_intent(s))
        if s.records():
            v = s.paddock("audit", "verify")
            check(f"kill -9 of {name} {stage}: the chain verifies, and what is missing is named",
                  v.returncode == 0 and (s.records("stop") or "stop" in v.stdout + v.stderr), (v.stdout, v.stderr))


def read_only_state():
    with sandbox("ro", w, POLICY) as s:
        s.env["API_TOKEN"] = w.info["tokens"]["api"]
        s.state.mkdir()
        s.state.chmod(0o500)
        r = s.sh("echo started")
        s.state.chmod(0o700)
        if os.getuid() == 0:
            skip("a read-only state directory", "root may write it")
            return
        check("a read-only state directory: nothing starts, and it says why",
              r.returncode == 125 and "started" not in r.stdout and "trail" in r.stderr, (r.returncode, r.stderr))


with world() as w:
    if MACHINE == "qemu":
        one("paddock", "under load")
        one("machine", "under load")
        one("paddock-courier", "in flight")
        PROCESSES = []
    for process in PROCESSES:
        one(process, "at the start")
        one(process, "under load")
    if PROCESSES:
        for process in ("paddock-courier", "paddock-inspector", "machine", "paddock"):
            one(process, "in flight")
        read_only_state()
finish()
