"""cases.py - reads the corpora beside it; README.md says what is written in them."""
import pathlib
import re

import wire

HERE = pathlib.Path(__file__).parent
HOST = "api.hostile.test"


class Case:
    def __init__(self, family, name):
        self.family, self.name = family, name
        self.options = {}
        self.parts = []        # (pause in ms, bytes), in order
        self.answer = None     # of the upstream; None: the usual one
        self.expected = []     # verdicts, as they are written

    @property
    def bytes(self):
        return b"".join(data for _, data in self.parts)

    @property
    def h2(self):
        return self.family.startswith("h2")

    def __str__(self):
        return f"{self.family}: {self.name}"


def unescape(text):
    """\\r \\n \\t \\0 \\\\ \\xHH, and {N*text} for N times text; all else is itself, in UTF-8."""
    text = re.sub(r"\{(\d+)\*((?:[^}\\]|\\.)*)\}", lambda m: m[2] * int(m[1]), text)
    simple = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", "}": b"}", "s": b" "}
    out, at = b"", 0
    for m in re.finditer(r"\\(x[0-9a-fA-F]{2}|.)", text):
        out += text[at:m.start()].encode() + (bytes([int(m[1][1:], 16)]) if m[1][0] == "x" else simple[m[1]])
        at = m.end()
    return out + text[at:].encode()


class FrameBuilder:
    """One frame of HTTP/2 from its lines."""

    def __init__(self, words):
        self.kind = wire.FRAMES.index(words[0]) if words[0] in wire.FRAMES else int(words[0], 0)
        self.stream, self.flags, self.length = 0, 0, None
        for word in words[1:]:
            if word.isdigit():
                self.stream = int(word)
            elif word.startswith("length="):
                self.length = int(word[7:])
            else:
                self.flags |= wire.FLAGS[word] if word in wire.FLAGS else int(word, 0)
        self.payload = b""

    def field(self, text):
        if text.startswith("*"):      # "*GET /items": the four of a usual request
            method, path = text[1:].split(" ", 1)
            for name, value in ((":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)):
                self.payload += wire.hpack_literal(name.encode(), unescape(value))
            return
        at = text.index(":", 1)
        self.payload += wire.hpack_literal(unescape(text[:at]), unescape(text[at + 1:].removeprefix(" ")))

    def bytes(self):
        out = wire.frame(self.kind, self.flags, self.stream, self.payload)
        return out if self.length is None else self.length.to_bytes(3, "big") + out[3:]


class Reader:
    def __init__(self, path):
        self.family, self.cases, self.case, self.frame, self.times = path.stem, [], None, None, 1
        for number, line in enumerate(path.read_text().split("\n"), 1):
            try:
                self.line(line)
            except (ValueError, KeyError, AttributeError, IndexError) as e:
                raise ValueError(f"{path.name}:{number}: {line!r}: {e}") from e
        self.end_case()

    def put(self, data):
        if self.case.parts and self.case.parts[-1][0] is None:
            self.case.parts[-1] = (None, self.case.parts[-1][1] + data)
        else:
            self.case.parts.append((None, data))

    def end_frame(self):
        if self.frame:
            self.put(self.frame.bytes() * self.times)
        self.frame = None

    def end_case(self):
        self.end_frame()
        if self.case:
            if not self.case.expected:
                raise ValueError(f"{self.case}: no verdict")
            self.cases.append(self.case)
        self.case = None

    def line(self, line):
        mark, _, text = line.partition(" ")
        if mark == "##":
            self.end_case()
            self.case = Case(self.family, text)
            if self.case.h2:
                self.case.parts.append((None, wire.PREFACE + wire.frame(4, 0, 0)))
        elif mark == ">":
            self.put(unescape(text) + b"\r\n")
        elif mark == "|":
            if self.frame:
                self.frame.payload += unescape(text)
            else:
                self.put(unescape(text))
        elif mark == "<":
            self.case.answer = (self.case.answer or b"") + unescape(text) + b"\r\n"
        elif mark == "<|":
            self.case.answer = (self.case.answer or b"") + unescape(text)
        elif mark == "@":
            self.end_frame()
            words = text.split()
            self.times = int(words.pop()[1:]) if words[-1][0] == "x" and words[-1][1:].isdigit() else 1
            self.frame = FrameBuilder(words)
        elif mark == "-":
            self.frame.field(text)
        elif mark == "!":
            key, _, value = text.partition(" ")
            if key == "wait":
                self.end_frame()
                self.case.parts += [(int(value), b""), (None, b"")]
            elif key == "bare":
                self.case.parts = []
            else:
                self.case.options[key] = value
        elif mark == "=":
            self.case.expected.append(text)
        elif mark not in ("", "#"):
            raise ValueError("no such mark")


def load(*families):
    """The cases of these families, or of all, in order."""
    paths = [HERE / f"{f}.txt" for f in families] or sorted(HERE.glob("*.txt"))
    return [case for path in paths for case in Reader(path).cases]
