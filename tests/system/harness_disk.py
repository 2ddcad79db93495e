"""A full disk: what cannot be recorded is not sent, and no outcome is lost (I3).

Mounts a small file system for the trail. needs: root
"""
import os
import subprocess

from paddock import api_policy, check, finish, sandbox, skip, world

POLICY = api_policy()

def arrived_without_intent(s):
    """Requests that reached the upstream and have no intent in the trail."""
    urls = {r.get("url", "") for r in s.records("intent")}
    return [r["url"] for r in w.requests() if "url" in r and not any(u.endswith(r["url"]) for u in urls)]


def full_disk():
    """The state directory on a tiny file system."""
    w.forget()
    with sandbox("full", w, POLICY) as s:
        s.env["API_TOKEN"] = w.info["tokens"]["api"]
        s.state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k,mode=0700", "tmpfs", str(s.state)], check=True)
        try:
            r = s.sh("for i in $(seq 1 400); do curl -s -m 5 -o /dev/null -w '%{http_code}\\n' "
                     "https://api.example.test/items?n=$i; done | sort | uniq -c", "--quiet", timeout=200)
            judge(s, r)
        finally:
            subprocess.run(["umount", str(s.state)], check=True)


def judge(s, r):
    check("a full disk: requests are refused with 503", "503" in r.stdout, (r.returncode, r.stdout, r.stderr))
    check("a full disk: nothing arrived without an intent", not arrived_without_intent(s), arrived_without_intent(s)[:5])
    check("a full disk: some requests went first", "200" in r.stdout, r.stdout)
    intents, outcomes = len(s.records("intent")), len(s.records("outcome"))
    check("a full disk: every intent has its outcome", intents and intents == outcomes, (intents, outcomes))
    v = s.paddock("audit", "verify")
    check("a full disk: the chain verifies", v.returncode == 0, (v.stdout, v.stderr))


if os.getuid() != 0:
    skip("a full disk", "to mount one needs root")
    finish()
with world() as w:
    full_disk()
finish()
