"""http1_client.py - what an agent's HTTP/1.1 client sees on the wire; runs inside, prints one JSON object

    python3 http1_client.py HOST

By hand over TLS, so that nothing is taken for granted that a library would put right: each answer is its
informational heads, its head, its body and its trailers, in this order, as the framing says.
"""
import json
import socket
import ssl
import sys

HOST = sys.argv[1]
BIG = 1 << 20


class Connection:
    def __init__(self):
        plain = socket.create_connection((HOST, 443), 20)
        self.socket = ssl.create_default_context().wrap_socket(plain, server_hostname=HOST)
        self.file = self.socket.makefile("rb")

    def send(self, request, *fields, body=b""):
        lines = [f"{request} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body)

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("in a line")
        return line[:-2].decode()

    def fields(self):
        rows = []
        while line := self.line():
            name, _, value = line.partition(":")
            rows.append((name.lower(), value.strip()))
        return dict(rows)

    def answer(self):
        """{hints, status, fields, body, trailers, whole}: whole only if the framing said where the end is."""
        out = {"hints": [], "whole": False}
        while True:
            status, fields = int(self.line().split(" ")[1]), self.fields()
            if status >= 200:
                break
            out["hints"].append([status, fields])
        out |= {"status": status, "fields": fields, "body": "", "trailers": {}}
        try:
            if fields.get("transfer-encoding") == "chunked":
                while size := int(self.line(), 16):
                    out["body"] += self.file.read(size).decode()
                    if self.line():
                        raise ValueError("a chunk has another size than it said")
                out["trailers"] = self.fields()
                out["whole"] = True
            else:
                length = int(fields["content-length"])
                out["body"] = self.file.read(length).decode()
                out["whole"] = len(out["body"]) == length
        except (EOFError, ConnectionError, ssl.SSLError):
            pass
        return out

    def ended(self):
        """Does the far end close, and with nothing more to say? A deadline that passes is an error of its own."""
        try:
            return self.file.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def main():
    results = {}
    c = Connection()		# all of these over one: each must end where it says
    c.send("GET /hints")
    results["hints"] = c.answer()
    c.send("POST /post?a=b", "Transfer-Encoding: chunked", "Trailer: x-sum",
           body=chunk(b"p" * 1000) + chunk(b"q" * 234) + b"0\r\nx-sum: 7\r\n\r\n")
    results["post"] = c.answer()
    c.send("POST /trailers", "TE: trailers", "Connection: TE", "Content-Length: 1", body=b"x")
    results["trailers"] = c.answer()
    c.send("GET /after")
    results["after"] = c.answer()

    c = Connection()
    c.send("POST /early", f"Content-Length: {BIG}", body=b"only the beginning")
    results["early"] = c.answer()		# the body is not sent until it is here
    results["early"]["ended"] = c.ended()
    c = Connection()
    c.send("GET /cut")
    results["cut"] = c.answer()
    results["cut"]["ended"] = c.ended()
    c = Connection()
    c.send("GET /events")
    results["left"] = int(c.line().split(" ")[1])
    c.socket.close()		# in the middle of the answer
    print(json.dumps(results))


main()
