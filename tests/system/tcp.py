"""tcp.py - plain TCP servers for tests that play the far end themselves."""
import socket
import threading


def serve(handle):
    """A server on loopback, each connection given to handle() in a thread of its own; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            c, _ = server.accept()
            threading.Thread(target=handle, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return server.getsockname()[1]
