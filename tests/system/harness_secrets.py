"""I1: after real use of a credential no process that parses the agent's bytes, and no file of the guest, has it.

Reads other processes' memory, so it runs as root. needs: root
"""
import base64
import os
import pathlib
import re
import subprocess
import urllib.parse

from paddock import MACHINE, api_policy, check, finish, sandbox, skip, wait_for, world

POLICY = api_policy("GET, POST")
MAY_HOLD = {"paddock", "paddock-harness", "paddock-courier", "paddock-keeper"}


def forms(secret):
    """The secret as it could stand in memory: raw, hex, percent-encoded, base64 in three alignments."""
    raw = secret.encode()
    out = {raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(secret, safe="").encode(),
           "".join(f"%{b:02X}" for b in raw).encode(), raw.decode().encode("utf-16-le")}
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + raw)
        out.add(text[4 if shift else 0:-4])
        out.add(text[4 if shift else 0:-4].replace(b"+", b"-").replace(b"/", b"_"))
    return {f for f in out if len(f) >= 12}


def memory(pid):
    """Every readable page of a process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line)
            if not m or m[3][0] != "r" or "[vvar" in line or "[vsyscall" in line:
                continue
            start, end = int(m[1], 16), int(m[2], 16)
            while start < end:
                step = min(end - start, 16 << 20)
                try:
                    mem.seek(start)
                    yield mem.read(step)
                except OSError:
                    pass
                start += step


def holds(pid, needles):
    tail = b""
    for chunk in memory(pid):
        data = tail + chunk
        for n in needles:
            if n in data:
                return n
        tail = data[-200:]
    return None


def descendants(root):
    parent = {}
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                parent[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found, grew = {root}, True
    while grew:
        more = {c for c, up in parent.items() if up in found} - found
        grew = bool(more)
        found |= more
    return found


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def guest_files(pid, needles):
    """Files in the root of a process of the guest that are not the host's own read-only ones."""
    for top in ("workspace", "tmp", "run", "root", "home", "etc", "var"):
        for directory, _, names in os.walk(f"/proc/{pid}/root/{top}", followlinks=False):
            for n in names:
                path = os.path.join(directory, n)
                try:
                    if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 50 << 20:
                        with open(path, "rb") as f:
                            data = f.read()
                        if any(x in data for x in needles):
                            return path
                except OSError:
                    pass
    return None


if os.getuid() != 0:
    skip("secrets in the memory of other processes", "to read it needs root")
    finish()
with world() as w, sandbox("secrets", w, POLICY) as s:
    token = w.info["tokens"]["api"]
    needles = forms(token)
    script = ("for i in 1 2 3; do curl -sS -o out$i https://api.example.test/items; curl -sS -o /dev/null "
              "https://api.example.test/echo; done; env > environment; echo done > finished; sleep 1000")
    p = s.start(["sh", "-c", script], "--quiet", env={"API_TOKEN": token}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: (s.workspace / "finished").exists(), 240)
    check("the credential was used", any("outcome" == r["kind"] for r in s.records()), s.records())
    used = [r for r in w.requests() if r.get("path", r.get("url", "")).startswith("/items")]
    check("and the upstream accepted it", bool(used), w.requests())
    family = descendants(p.pid)
    courier = [x for x in family if name_of(x).startswith("paddock-courier")]
    check("the search works: the courier's memory has it", courier and holds(courier[0], needles), courier)
    seen = set()
    for pid in sorted(family):
        name = name_of(pid)
        seen.add(name)
        if name[:15] in {m[:15] for m in MAY_HOLD}:
            continue
        check(f"the memory of {name} has it in no form", not holds(pid, needles), holds(pid, needles))
    for expected in ("paddock-inspect", "paddock-files", "paddock-termina"):
        check(f"{expected} was among those searched", expected in seen, seen)
    if MACHINE == "qemu":
        check("the machine was among those searched", any(x.startswith("qemu") for x in seen), seen)
    else:
        check("PID 1 and the agent were among those searched", "paddock-init" in seen and "sleep" in seen, seen)
        agent = [x for x in family if name_of(x) == "sleep"][0]
        check("no file of the guest has it", not guest_files(agent, needles), guest_files(agent, needles))
    inside = [str(f) for f in s.workspace.rglob("*") if f.is_file() and any(n in f.read_bytes() for n in needles)]
    check("no file of the workspace has it", not inside, inside)
    trail = b"".join(f.read_bytes() for f in s.state.rglob("*") if f.is_file())
    check("the trail has it in no form", not any(n in trail for n in needles))
    p.terminate()
    p.communicate(timeout=60)
finish()
