"""What the gate lets through means the same to nginx and to HAProxy; and what they alone would let through (needs: nginx, haproxy).

Each case of the corpus goes through the gate to one of the two as the upstream, which hands on to a backend that records.
Whatever arrives there must be what the trail says was decided on, once, with the body that the verdict names.
"""
import base64
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse

from paddock import check, finish

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
import cases  # noqa: E402
import pki  # noqa: E402
import world  # noqa: E402
from gate import PYTHON, HERE, Gate, job_of  # noqa: E402
from proxies import Proxy  # noqa: E402
from recorder import Recorder  # noqa: E402


def text(data):
    return (data or b"").decode("latin-1")


def folded(path):
    return re.sub("/+", "/", path)


def decoded(path):
    return urllib.parse.unquote_to_bytes(path.encode("latin-1")).decode("latin-1")


def seen(m, name):
    """What the proxy took it for: (method, host, path with its slashes folded, query). nginx has decoded the path."""
    path = text(m.one(b"x-seen-path"))
    return (text(m.one(b"x-seen-method")), text(m.one(b"x-seen-host")).lower(),
            folded(path if name == "nginx" else decoded(path)), text(m.one(b"x-seen-query")))


def meant(record):
    """What the trail says was decided on, in the same terms."""
    url = urllib.parse.urlsplit(record["url"])
    return record["method"], url.netloc, folded(decoded(url.path)), url.query


def refused_behind(outcome):
    return outcome.get("status", 0) >= 400 or outcome.get("result", "OK") != "OK"


def arrived_as_decided(name, case, recorder, rows):
    """What is wrong, in words, and how many whole requests came, and by which versions of HTTP."""
    problems, left, bodies, versions = [], [r for r in rows if r["kind"] == "intent"], [], set()
    ends = {r["request"]: r for r in rows if r["kind"] == "outcome"}
    for m in recorder.requests():
        target = text(m.first[1])
        got = (text(m.first[0]), text(m.one(b"host")).lower(), target)
        match = next((r for r in left if "url_cut" in r or (
            (r["method"], urllib.parse.urlsplit(r["url"]).netloc) == got[:2] and
            r["url"].split("://", 1)[1].partition("/")[2] == target.removeprefix("/").removeprefix("*")
            if target != "*" else r["url"].endswith("*"))), None)
        if not match:
            problems.append(f"arrived, not decided on: {got}; decided on: {[(r['method'], r['url']) for r in left]}")
            continue
        left.remove(match)
        if "url_cut" not in match and target != "*" and seen(m, name) != meant(match):
            problems.append(f"taken for {seen(m, name)}, decided on {meant(match)}")
        if m.all(b"x-injected"):
            problems.append("a field that was injected arrived")
        if m.complete:
            bodies.append(m.body)
            versions.add(text(m.one(b"x-seen-version")))
        elif ends.get(match["request"], {}).get("result") == "OK":
            problems.append(f"arrived in part, and the trail does not know: {got}")
    wanted = [cases.unescape(e.split(" body ", 1)[1]) if " body " in e else b"" for e in case.expected
              if e.startswith(("taken", "answer", "lost"))]
    for body in bodies:
        if body in wanted:
            wanted.remove(body)
        else:
            problems.append(f"arrived, though its verdict is {case.expected}: body {body[:200]!r}")
    # what the gate sent and nobody got, the proxy itself must have refused, or cut off
    lost = [r["url"] for r in left if not refused_behind(ends.get(r["request"], {}))]
    problems += [f"sent, and neither arrived nor was refused by {name}: {url}" for url in lost]
    return problems + [f"malformed bytes: {x}" for x in recorder.malformed()], len(bodies), versions


def through_the_gate(name, h2, directory, corpus):
    """Plays the corpus through a gate of its own; returns [(case, problems, whole requests, HTTP versions)]."""
    ca, leaf, key = pki.make(directory, world.NAMES)
    backend = Recorder()
    proxy = Proxy(name, directory, leaf, key, backend.port, h2)
    upstreams = {(host, port): to for host in world.NAMES for port, to in ((443, proxy.tls), (80, proxy.plain))}
    gate = Gate(world.POLICY, upstreams, ca)
    out = []
    for case in corpus:
        result = gate.play(case, backend)
        out.append((case, *arrived_as_decided(name, case, backend, result.rows)))
    gate.close()
    proxy.close()
    return out


def alone(name, directory, corpus):
    """How many of the cases that the gate refuses arrive whole through the proxy by itself."""
    ca, leaf, key = pki.make(directory, world.NAMES)
    backend = Recorder()
    proxy = Proxy(name, directory, leaf, key, backend.port, True)
    player = subprocess.Popen([PYTHON, "-u", str(HERE / "player.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    through, hidden = {}, 0
    for case in corpus:
        backend.forget()
        changes = {"host": "127.0.0.1", "ca": str(ca), "limit": 1.5,
                   "port": proxy.tls if case.options.get("scheme", "https") == "https" else proxy.plain}
        player.stdin.write(json.dumps(job_of(case, **changes)) + "\n")
        player.stdin.flush()
        base64.b64decode(json.loads(player.stdout.readline())["data"])
        backend.settled(0.3)
        whole = [m for m in backend.requests() if m.complete]
        if whole:
            through[case.family] = through.get(case.family, 0) + 1
        hidden += any(b"/hidden" in m.first[1] for m in whole)
    player.stdin.close()
    player.wait()
    proxy.close()
    return through, hidden


def main():
    corpus = [c for c in cases.load() if c.answer is None and c.family != "addresses"]
    runs = [("nginx", True), ("haproxy", False)]
    with tempfile.TemporaryDirectory(prefix="paddock-differential-") as directory, \
            concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
        places = []
        for name, h2 in runs:
            for kind in ("gate", "alone"):
                places.append(pathlib.Path(directory) / f"{name}-{kind}")
                places[-1].mkdir()
        played = [pool.submit(through_the_gate, name, h2, places[2 * i], corpus) for i, (name, h2) in enumerate(runs)]
        for (name, h2), future in zip(runs, played, strict=True):
            results = future.result()
            for case, problems, _, _ in results:
                if problems:
                    check(f"{name}: {case}", False, problems)
            wanted = sum(e.startswith("taken") for c in corpus for e in c.expected)
            got = sum(n for _, _, n, _ in results)
            bad = sum(bool(p) for _, p, _, _ in results)
            versions = " and ".join(sorted({v for _, _, _, vs in results for v in vs}))
            check(f"{len(results) - bad} of {len(results)} cases mean the same to {name} over {versions} "
                  f"({got} of {wanted} allowed requests arrived; the others it refused itself)",
                  not bad and 0 < got <= wanted)
        refused = [c for c in corpus if not any(e.startswith("taken") for e in c.expected) and not c.options.get("connect")]
        for i, (name, _) in enumerate(runs):
            through, hidden = alone(name, places[2 * i + 1], refused)
            print(f"# {name} alone, in front of the same backend, passes {sum(through.values())} of the {len(refused)} "
                  f"cases that the gate refuses, {hidden} of them with a request for /hidden: {through}", flush=True)


main()
finish()
