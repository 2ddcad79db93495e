"""The application of tests/world/http2.mjs, in both protocols, each host in one."""
import json
import pathlib
import shutil
import subprocess
import tempfile

from paddock import TESTS, wait_for


class Servers:
    """one.example.test speaks HTTP/1.1, two.example.test HTTP/2."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="paddock-http2-", dir="/tmp"))
        self.process = subprocess.Popen(["node", str(TESTS / "world" / "http2.mjs"), "--dir", str(self.directory)],
                                        stdin=subprocess.PIPE)
        path = self.directory / "http2.json"
        if not wait_for(path.exists, 30):
            raise RuntimeError("the servers did not come up")
        self.info = json.loads(path.read_text())

    def options(self):
        out = ["--upstream-ca", self.info["ca"]]
        for host, port in self.info["hosts"].items():
            out += ["--resolve", f"{host}:443:127.0.0.1:{port}"]
        return out

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)
