"""wire.py - HTTP on the wire, read and written apart from Paddock's own code, so that the two can be compared.

The readers are strict: what is not exactly the grammar raises Malformed, which is itself a finding.
"""
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (\*|/[!$-;=?-Z_a-z~%@]*|[a-z]+://[!$-;=?-\[\]_a-z~%@]*) HTTP/1\.1\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*\Z")
FIELD = re.compile(rb"(" + TOKEN + rb"): ([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\Z")

FRAMES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
          "CONTINUATION"]
FLAGS = {"END_STREAM": 1, "ACK": 1, "END_HEADERS": 4, "PADDED": 8, "PRIORITY": 0x20}
ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
          "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
          "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Malformed(Exception):
    pass


class Message:
    """A request or an answer; `complete` once its body has come whole."""

    def __init__(self, first, fields):
        self.first, self.fields, self.body, self.complete = first, fields, b"", False

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def one(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{len(values)} fields {name!r}")
        return values[0] if values else None


def read_head(data, first_line):
    """(Message, bytes after the head), or None when the head has not come whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].split(b"\r\n")
    first = first_line.match(lines[0])
    if not first:
        raise Malformed(f"first line {lines[0][:200]!r}")
    fields = []
    for line in lines[1:]:
        m = FIELD.match(line)
        if not m:
            raise Malformed(f"field {line[:200]!r}")
        fields.append((m[1].lower(), m[2] or b""))
    return Message(first.groups(), fields), data[end + 4:]


def read_chunks(m, data):
    """Puts the body into m; what follows it, or None when it has not come whole."""
    while True:
        size = re.match(rb"([0-9A-Fa-f]{1,16})\r\n", data)
        if not size:
            if len(data) > 20 or (data and not re.match(rb"[0-9A-Fa-f]*\r?\Z", data)):
                raise Malformed(f"chunk {data[:40]!r}")
            return None
        n = int(size[1], 16)
        data = data[size.end():]
        if n == 0:
            break
        if len(data) < n + 2:
            m.body += data[:n]
            return None
        if data[n:n + 2] != b"\r\n":
            raise Malformed("a chunk without its end")
        m.body, data = m.body + data[:n], data[n + 2:]
    while not data.startswith(b"\r\n"):       # trailers
        end = data.find(b"\r\n")
        if end < 0:
            return None
        if not FIELD.match(data[:end]):
            raise Malformed(f"trailer {data[:end][:200]!r}")
        data = data[end + 2:]
    m.complete = True
    return data[2:]


def read_body(m, data, bodiless, until_close):
    length, coding = m.one(b"content-length"), m.one(b"transfer-encoding")
    if length is not None and coding is not None:
        raise Malformed("a length and a coding")
    if coding is not None and coding != b"chunked":
        raise Malformed(f"coding {coding!r}")
    if length is not None and not re.match(rb"(0|[1-9][0-9]*)\Z", length):
        raise Malformed(f"length {length!r}")
    if bodiless:
        m.complete = True
        return data
    if coding is not None:
        return read_chunks(m, data)
    if length is None and until_close:
        m.body = data
        return None
    n = int(length or 0)
    m.body, m.complete = data[:n], len(data) >= n
    return data[n:] if m.complete else None


def read_request(data):
    """(Message, rest) - rest is None while the body is incomplete; None while the head is."""
    head = read_head(data, REQUEST_LINE)
    if head is None:
        return None
    m, data = head
    if len(m.all(b"host")) != 1:
        raise Malformed(f"{len(m.all(b'host'))} fields host")
    return m, read_body(m, data, False, False)


def read_response(data, method="GET"):
    """As read_request(). A body that lasts until the close stays incomplete."""
    head = read_head(data, STATUS_LINE)
    if head is None:
        return None
    m, data = head
    status = int(m.first[0])
    return m, read_body(m, data, status < 200 or status in (204, 304) or method == "HEAD", True)


def responses(data, methods=()):
    """All answers in what a client received: [Message], interim ones left out."""
    out, methods = [], list(methods)
    while data:
        found = read_response(data, methods[0] if methods else "GET")
        if found is None:
            raise Malformed(f"bytes behind the last answer: {data[:200]!r}")
        m, data = found
        if int(m.first[0]) >= 200:
            out.append(m)
            methods[:1] = []
        if data is None:
            break
    return out


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def frames(data):
    """[(type, flags, stream, payload)] of what came whole."""
    out = []
    while len(data) >= 9:
        n = int.from_bytes(data[:3], "big")
        if len(data) < 9 + n:
            break
        out.append((data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7fffffff, data[9:9 + n]))
        data = data[9 + n:]
    return out


def hpack_integer(value, prefix, first):
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def hpack_literal(name, value):
    """A field without indexing and without Huffman: exactly these bytes."""
    return b"\0" + hpack_integer(len(name), 7, 0) + name + hpack_integer(len(value), 7, 0) + value
