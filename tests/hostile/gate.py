"""gate.py - the real gate around a hostile client: plays cases through it and says what each came to

What a case came to is told in the words of its verdicts (README.md), from three sides that must agree: what the client
received, what arrived upstream, and what the trail says was decided on.
"""
import base64
import json
import pathlib
import subprocess
import sys
import time

import wire
from cases import HOST, unescape

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "system"))
from paddock import sandbox  # noqa: E402

# Denied, and so never upstream.
BARRIER = {"host": HOST, "port": 80, "tls": False, "answers": 1, "parts": [
    (0, base64.b64encode(f"GET /hidden/barrier HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()).decode())]}
PYTHON = "/usr/bin/python3"
HERE = pathlib.Path(__file__).parent


def show(data):
    """Bytes as a verdict has them."""
    out = data.decode("latin-1").encode("unicode_escape").decode()
    return out if len(out) <= 120 else out[:120] + f"... ({len(data)} bytes)"


def job_of(case, **changes):
    """What the player is told."""
    o = case.options
    parts = [(ms or 0, data) for ms, data in case.parts]
    if "pieces" in o:
        n = int(o["pieces"])
        parts = [(1, case.bytes[i:i + n]) for i in range(0, len(case.bytes), n)]
    scheme = o.get("scheme", "https")
    job = {
        "host": o.get("connect", HOST), "port": int(o.get("port", 443 if scheme == "https" else 80)),
        "tls": scheme == "https", "sni": o.get("sni", o.get("connect", HOST)), "h2": case.h2,
        "alpn": o["alpn"].split() if "alpn" in o else ["h2"] if case.h2 else [],
        "parts": [(ms, base64.b64encode(data).decode()) for ms, data in parts],
        "answers": sum(not e.startswith(("refused closed", "refused alert", "refused name")) for e in case.expected),
        "methods": ["HEAD"] if case.bytes.startswith(b"HEAD") else methods(case), "end": "end" in o, "limit": o.get("limit"),
    }
    if "answers" in o:
        job["answers"] = int(o["answers"])
    return {**job, **changes}


def methods(case):
    return [e.split()[1] for e in case.expected if e.startswith("taken")] if not case.h2 else []


class Result:
    """What one case came to."""

    def __init__(self):
        self.events, self.problems = [], []


def body_event(m):
    return f" body {show(m.body)}" if m.body else ""


def answer_event(case, status, body):
    """An answer of the recorder's is what was taken; any other is a refusal by the gate."""
    try:
        said = json.loads(body or b"null")
    except ValueError:
        said = None
    if case.answer is not None and not (isinstance(said, dict) and "paddock" in said):
        return f"answer {status} {show(body)}"
    if status == 200 and isinstance(said, dict) and "target" in said:
        return f"taken {said['method']} {said['target']}"
    return f"refused {status}"


def events_h1(case, data, closed):
    """Of the client's side: one word an answer."""
    out, expected_methods = [], methods(case)
    if case.bytes.startswith(b"HEAD"):
        expected_methods[:1] = ["HEAD"]
    for m in wire.responses(data, expected_methods):
        status, method = int(m.first[0]), expected_methods[len(out)] if len(out) < len(expected_methods) else None
        if not m.complete:
            out.append(f"broken {status}")
        elif status == 200 and method == "HEAD" and case.answer is None:
            out.append("taken HEAD")
        else:
            out.append(answer_event(case, status, m.body))
    if not out:
        out.append("refused alert" if closed.startswith("alert") else "refused name" if closed == "no such name"
                   else "refused timeout" if closed == "timeout" else "refused closed")
    return out


def events_h2(case, data, closed):
    """Of the client's side: one word a stream that ended, and one for the connection."""
    import hpack
    decoder, streams, out = hpack.Decoder(), {}, []
    block, block_stream = b"", 0
    for kind, flags, stream, payload in wire.frames(data):
        if kind in (1, 9):
            block, block_stream = (payload if kind == 1 else block + payload), stream
            if flags & 4:
                fields = decoder.decode(block, raw=True)
                status = [int(v) for n, v in fields if n == b":status"]
                if status and status[0] >= 200:
                    streams.setdefault(stream, {"status": status[0], "body": b"", "end": False})
        if kind == 0 and stream in streams:
            streams[stream]["body"] += payload
        if kind in (0, 1) and flags & 1 and stream in streams:
            streams[stream]["end"] = True
        if kind == 3:
            code = wire.ERRORS[int.from_bytes(payload, "big")]
            if not streams.get(stream, {}).get("end"):
                streams.setdefault(stream, {})["reset"] = code
        if kind == 7:
            out = [f"goaway {wire.ERRORS[int.from_bytes(payload[4:8], 'big')]}"]
    events = []
    for s in (streams[k] for k in sorted(streams)):
        if "status" in s and s["end"]:
            events.append(answer_event(case, s["status"], s["body"]))
        elif "status" in s:
            events.append(f"broken {s['status']}")
        elif "reset" in s:
            events.append(f"reset {s['reset']}")
    if out == ["goaway NO_ERROR"] and events:
        out = []
    return events + out or ["refused alert" if closed.startswith("alert") else "refused " + (
        "name" if closed == "no such name" else "timeout" if closed == "timeout" else "closed")]


class Gate:
    """A running sandbox whose command is the player."""

    def __init__(self, policy, upstreams, ca, wrap=(), environment=None, options=()):
        """upstreams: {(host, port): port on loopback}"""
        self.context = sandbox("corpus", None, policy)
        self.s = self.context.__enter__()
        for name in ("player.py", "wire.py"):
            (self.s.workspace / name).write_text((HERE / name).read_text())
        out = ["--quiet", *options] + (["--upstream-ca", str(ca)] if ca else [])
        for (host, port), to in upstreams.items():
            out += ["--resolve", f"{host}:{port}:127.0.0.1:{to}"]
        command = [*wrap, *self.s.arguments([PYTHON, "-u", "player.py"], *out)]
        self.process = subprocess.Popen(command, env={**self.s.env, **(environment or {})}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.offsets = {}

    def send(self, job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(f"the sandbox ended: {self.process.wait()}")
        answer = json.loads(line)
        return base64.b64decode(answer["data"]), answer["closed"]

    def new_records(self):
        """What the trail got since the last call."""
        rows = []
        for trail in self.s.trails()[-1:]:
            for segment in sorted(trail.glob("*.jsonl")):
                with segment.open("rb") as f:
                    f.seek(self.offsets.get(segment, 0))
                    data = f.read()
                whole = data[:data.rfind(b"\n") + 1]
                self.offsets[segment] = self.offsets.get(segment, 0) + len(whole)
                rows += [json.loads(line) for line in whole.splitlines()]
        return rows

    def settled_records(self, seconds=3.0):
        """The same, once every intent has its outcome."""
        rows, deadline = self.new_records(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            intents = {r["request"] for r in rows if r["kind"] == "intent"}
            if intents <= {r["request"] for r in rows if r["kind"] == "outcome"}:
                break
            time.sleep(0.01)
            rows += self.new_records()
        return rows

    def play(self, case, recorder):
        result = Result()
        recorder.forget()
        recorder.answer, recorder.close_after = case.answer, case.options.get("close")
        self.new_records()
        data, closed = self.send(job_of(case))
        if any(e.startswith(("cut", "reset", "goaway")) or "closed" in e for e in case.expected):
            self.send(BARRIER)     # the courier has by now seen whatever the inspector told it before
        recorder.settled()
        rows = self.settled_records()
        try:
            events = events_h2(case, data, closed) if case.h2 else events_h1(case, data, closed)
        except (wire.Malformed, LookupError) as e:
            result.problems.append(f"the gate's answer is malformed: {e}")
            events = []
        self.judge(result, recorder, rows, events, case.answer is not None)
        self.judge_answer(result, case, data)
        result.data, result.closed, result.rows = data, closed, rows
        return result

    @staticmethod
    def judge(result, recorder, rows, events, answered):
        """What holds for every case, whatever its verdict: nothing arrives but what was decided on, in its words."""
        intents = [(r["method"], r["url"]) for r in rows if r["kind"] == "intent"]
        cut = {r["url"]: r["url_cut"] for r in rows if r["kind"] == "intent" and "url_cut" in r}
        arrived = recorder.requests()
        left = list(intents)
        for m in arrived:
            method, target = (x.decode("latin-1") for x in m.first)
            host = m.one(b"host").decode("latin-1")
            urls = [(method, f"{s}://{host}{target}") for s in ("https", "http")]
            urls += [(method, url[:4096]) for method, url in urls if cut.get(url[:4096]) == len(url)]
            found = next((u for u in urls if u in left), None)
            if m.all(b"x-injected"):
                result.problems.append("a field that was injected arrived")
            if found:
                left.remove(found)
            else:
                result.problems.append(f"arrived and was not decided on: {urls[0]}; decided on: {intents}")
        result.problems += [f"malformed bytes arrived: {x}" for x in recorder.malformed()]
        outcomes = {r["request"] for r in rows if r["kind"] == "outcome"}
        for r in rows:
            if r["kind"] == "intent" and r["request"] not in outcomes:
                result.problems.append(f"an intent without an outcome: {r['url']}")
        whole, parts = [m for m in arrived if m.complete], [m for m in arrived if not m.complete]
        for at, event in enumerate(events):
            if event.startswith(("answer", "broken")) and whole:
                whole.pop(0)
            elif event.startswith("taken") and whole:
                m = whole.pop(0)
                said = f"taken {m.first[0].decode('latin-1')} {m.first[1].decode('latin-1')}"
                if not said.startswith(event):
                    result.problems.append(f"the client was answered {event!r} and upstream arrived {said!r}")
                events[at] = said + body_event(m)
            elif parts and not event.startswith("taken"):
                m = parts.pop(0)
                events[at] = f"cut {m.first[0].decode('latin-1')} {m.first[1].decode('latin-1')} {event.split(' ', 1)[1]}"
        if any(e in ("refused 502", "refused closed") for e in events) and answered and whole:
            whole.pop(0)
        if whole and any(e.startswith("goaway") for e in events):
            m = whole.pop(0)
            events.insert(0, f"lost {m.first[0].decode('latin-1')} {m.first[1].decode('latin-1')}")
        for m in whole + parts:
            result.problems.append(f"arrived and was not answered: {m.first}, body {m.body[:80]!r}, {len(intents)} intents")
        result.events = events

    @staticmethod
    def judge_answer(result, case, data):
        """What no client may receive."""
        lower = b"\r\n" + data.lower()
        for name in ["x-injected", *case.options.get("absent", "").split()]:
            if f"\r\n{name}:".encode() in lower:
                result.problems.append(f"the client got a field {name}")
        if b"poisoned" in data:
            result.problems.append("the client got an answer to no question")

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
        self.context.__exit__(None, None, None)


REFUSALS = ("refused", "reset", "goaway")


def agrees(case, events):
    """Do the verdicts agree with what happened? A request that is cut may also not have left at all."""
    expected = case.expected
    if "any" in case.options:
        return all(e.split()[0] in (*REFUSALS, "cut") for e in events)
    if expected[0].startswith("lost") and events[:1] != expected[:1]:
        expected = expected[1:]
    if len(expected) != len(events):
        return False
    for want, got in zip(expected, events, strict=True):
        if " body " in want:
            head, body = want.split(" body ", 1)
            want = f"{head} body {show(unescape(body))}"
        elif "{" in want or "\\" in want:
            want = show(unescape(want))
            got = show(got.encode("latin-1", "replace"))
        if want == got:
            continue
        if want.startswith("cut"):
            cut, told = " ".join(want.split(" ")[:3]), " ".join(want.split(" ")[3:])
            if (got.startswith(cut) or got.split()[0] in REFUSALS) and got.endswith(told):
                continue
        if want.startswith("broken") and got == "refused closed":
            continue
        if want == "refused" and got.split()[0] in REFUSALS:
            continue
        return False
    return True
