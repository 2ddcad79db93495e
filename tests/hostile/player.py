"""player.py - the hostile client: sends exactly the bytes that it is told to, and says what came back

A line of JSON on standard input is one connection: {host, port, tls, sni, alpn, parts: [[pause_ms, base64]...],
answers: how many to wait for, end: half-close when all is sent, h2, method}. A line of JSON is its answer: {data: base64,
closed: how the connection ended, alpn}. Runs inside of the sandbox, and outside of it against a proxy directly.
"""
import base64
import functools
import json
import socket
import ssl
import sys
import time

import wire

QUIET = 0.05        # after the last answer that was waited for: what else comes?
LIMIT = 12.0


def answered(job, data):
    """How many answers are whole."""
    if job.get("h2"):
        ended = set()
        for kind, flags, stream, _ in wire.frames(data):
            if stream and (kind == 3 or (kind in (0, 1) and flags & 1)):
                ended.add(stream)
        return len(ended)
    try:
        return sum(m.complete for m in wire.responses(data, job.get("methods", ())))
    except wire.Malformed:
        return 0


@functools.cache
def context_of(alpn, ca, check_name):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = check_name
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connect(job):
    s = socket.create_connection((job["host"], job["port"]), 20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not job["tls"]:
        return s
    context = context_of(tuple(job.get("alpn") or ()), job.get("ca"), job.get("sni", job["host"]) == job["host"])
    return context.wrap_socket(s, server_hostname=job.get("sni", job["host"]) or None)


def receive(job, s, deadline):
    data, closed = b"", "timeout"
    while time.monotonic() < deadline:
        enough = answered(job, data) >= job["answers"] > 0
        s.settimeout(QUIET if enough else max(0.05, deadline - time.monotonic()))
        try:
            more = s.recv(262144)
        except ssl.SSLEOFError:
            return data, "cut"
        except (TimeoutError, socket.timeout):
            if enough:
                return data, "open"
            continue
        except ssl.SSLError as e:
            return data, "alert " + str(e.reason)
        except OSError as e:
            return data, "reset" if isinstance(e, ConnectionError) else str(e)
        if not more:
            return data, "closed"
        data += more
    return data, closed


def play(job):
    out = {"data": "", "closed": "", "alpn": None}
    s = None
    try:
        s = connect(job)
        out["alpn"] = s.selected_alpn_protocol() if job["tls"] else None
        for pause, part in job["parts"]:
            if pause:
                time.sleep(pause / 1000)
            try:
                s.sendall(base64.b64decode(part))
            except OSError:
                break          # refused before all was sent
        if job.get("end"):
            try:
                socket.socket.shutdown(s, socket.SHUT_WR)
            except OSError:
                pass
        data, out["closed"] = receive(job, s, time.monotonic() + float(job.get("limit") or LIMIT))
        out["data"] = base64.b64encode(data).decode()
    except socket.gaierror:
        out["closed"] = "no such name"
    except ssl.SSLError as e:
        out["closed"] = "alert " + str(e.reason)
    except OSError as e:
        out["closed"] = type(e).__name__
    finally:
        if s:
            s.close()
    return out


def main():
    for line in sys.stdin:
        print(json.dumps(play(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
