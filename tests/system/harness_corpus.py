"""The corpus of hostile requests and answers (tests/hostile): each through the real gate, with its verdict."""
import os
import pathlib
import sys
import tempfile

from paddock import check, finish

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
import cases  # noqa: E402
import pki  # noqa: E402
from gate import Gate, agrees  # noqa: E402
from recorder import Recorder, server_context  # noqa: E402

NAMES = ["api.hostile.test", "other.hostile.test"]
POLICY = """\
version: 1
network:
  - name: hidden
    verdict: deny
    hosts: ["*.hostile.test"]
    methods: ["*"]
    paths: [/hidden, "/hidden/**"]
  - name: api
    hosts: [api.hostile.test, other.hostile.test]
    methods: ["*"]
    schemes: [http, https]
    addresses: [127.0.0.0/8]
  - name: literals
    hosts: [169.254.169.254, 169.254.170.2, 100.100.100.200, 192.0.0.192, 168.63.129.16, "fd00:ec2::254", 10.0.0.1,
            172.16.0.1, 192.168.0.1, "fc00::1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001::1", 192.0.2.1]
    methods: ["*"]
    schemes: [http, https]
"""
PROBE = cases.Case("answers", "a further request")
PROBE.parts = [(None, b"GET /probe HTTP/1.1\r\nHost: api.hostile.test\r\n\r\n")]
PROBE.expected = ["taken GET /probe"]


def main():
    families = [a.removesuffix(".txt") for a in os.environ.get("PADDOCK_FAMILIES", "").split()]
    corpus = cases.load(*families)
    with tempfile.TemporaryDirectory(prefix="paddock-corpus-") as directory:
        ca, leaf, key = pki.make(directory, NAMES)
        secure, plain = Recorder(server_context(leaf, key)), Recorder()
        upstreams = {(host, port): recorder.port for host in NAMES for port, recorder in ((443, secure), (80, plain))}
        gate = Gate(POLICY, upstreams, ca)
        for case in corpus:
            recorder = plain if case.options.get("scheme") == "http" else secure
            result = gate.play(case, recorder)
            if case.answer is not None:
                probe = gate.play(PROBE, recorder)
                result.problems += probe.problems + ([] if agrees(PROBE.expected, probe.events) else
                                                     [f"the next request got {probe.events} {probe.data[:300]}"])
            check(str(case), agrees(case.expected, result.events) and not result.problems,
                  (case.expected, result.events, result.problems, result.closed, result.data[:300]))
        gate.close()
    check(f"{len(corpus)} cases were played", len(corpus) >= (1 if families else 300), len(corpus))


main()
finish()
