"""recorder.py - an upstream that keeps every byte that it was sent, and reads it with a parser of its own."""
import contextlib
import json
import socket
import ssl
import threading

import wire


class Connection:
    def __init__(self):
        self.data = b""          # all that came
        self.requests = []       # wire.Message, in order
        self.told = 0            # so many of them are forgotten
        self.open = True
        self.malformed = None


class Recorder:
    """Listens at `address` (a free port of loopback), with TLS if there is a context. `answer` (bytes) is the
    answer to the next request alone, and `close_after` ("" or "cut": without TLS's
    close_notify) ends the connection behind it."""

    def __init__(self, context=None, address=("127.0.0.1", 0)):
        self.context, self.lock = context, threading.Condition()
        self.connections, self.answer, self.close_after, self.markers = [], None, None, set()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.listener = socket.create_server(address, family=family, backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, peer = self.listener.accept()
            except OSError:
                return
            with self.lock:
                if peer in self.markers:
                    self.markers.remove(peer)
                    self.lock.notify_all()
                    s.close()
                    continue
                c = Connection()
                self.connections.append(c)
            threading.Thread(target=self.serve, args=(s, c), daemon=True).start()

    def serve(self, plain, c):
        s = plain
        with contextlib.suppress(OSError), plain:
            plain.settimeout(120)
            if self.context:
                s = self.context.wrap_socket(plain, server_side=True)
            self.talk(s, c)
            with contextlib.suppress(OSError, ValueError):
                if self.context and self.close_after != "cut":
                    s.settimeout(2)
                    s.unwrap()
        with self.lock:
            c.open = False
            self.lock.notify_all()

    def talk(self, s, c):
        rest = b""
        while True:
            more = s.recv(65536)
            if not more:
                return
            with self.lock:
                c.data += more
            rest += more
            while rest:
                try:
                    found = wire.read_request(rest)
                except wire.Malformed as e:
                    with self.lock:
                        c.malformed = f"{e}: {rest[:400]!r}"
                    return
                if found is None:
                    break
                m, after = found
                with self.lock:
                    if not c.requests or c.requests[-1].complete:
                        c.requests.append(m)
                    c.requests[-1] = m
                    self.lock.notify_all()
                if after is None:
                    break
                rest = after
                with self.lock:
                    answer, self.answer = self.answer, None
                s.sendall(answer if answer is not None else self.usual(m))
                if answer is not None and self.close_after is not None:
                    return

    @staticmethod
    def usual(m):
        method, target = (x.decode() for x in m.first)
        body = json.dumps({"method": method, "target": target, "body": m.body[:2000].decode("latin-1")}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        return head if method == "HEAD" else head + body

    def requests(self):
        """Every request so far, also incomplete ones, in order of their connections."""
        with self.lock:
            return [r for c in self.connections for r in c.requests[c.told:]]

    def malformed(self):
        with self.lock:
            return [c.malformed for c in self.connections if c.malformed]

    def forget(self):
        """What has been looked at so far; a connection that is kept stays."""
        with self.lock:
            self.connections = [c for c in self.connections if c.open]
            for c in self.connections:
                c.told, c.data = len(c.requests), b""

    def settled(self, seconds=2.0):
        """Waits until everything that was sent here so far has been looked at: what came to the listener before a
        connection of our own, and of each connection a whole request, or its end."""
        with socket.socket(self.listener.family) as marker, self.lock:
            marker.bind((self.listener.getsockname()[0], 0))
            name = marker.getsockname()
            self.markers.add(name)
            marker.connect(self.listener.getsockname())
            self.lock.wait_for(lambda: name not in self.markers, seconds)
            return self.lock.wait_for(lambda: all(not c.open or (c.requests and c.requests[-1].complete)
                                                  for c in self.connections), seconds)

    def stop(self):
        self.listener.close()


def server_context(certificate, key, alpn=("http/1.1",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(list(alpn))
    return context
