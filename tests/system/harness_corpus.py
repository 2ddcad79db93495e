"""The corpus of hostile requests and answers (tests/hostile): each through the real gate, with its verdict."""
import os
import pathlib
import sys
import tempfile

from paddock import check, finish

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
import cases  # noqa: E402
import pki  # noqa: E402
import world  # noqa: E402
from gate import Gate, agrees  # noqa: E402
from recorder import Recorder, server_context  # noqa: E402

PROBE = cases.Case("answers", "a further request")
PROBE.parts = [(None, b"GET /probe HTTP/1.1\r\nHost: api.hostile.test\r\n\r\n")]
PROBE.expected = ["taken GET /probe"]


def main():
    families = [a.removesuffix(".txt") for a in os.environ.get("PADDOCK_FAMILIES", "").split()]
    corpus = cases.load(*families)
    with tempfile.TemporaryDirectory(prefix="paddock-corpus-") as directory:
        ca, leaf, key = pki.make(directory, world.NAMES)
        secure, plain = Recorder(server_context(leaf, key)), Recorder()
        upstreams = {(host, port): recorder.port for host in world.NAMES for port, recorder in ((443, secure), (80, plain))}
        gate = Gate(world.POLICY, upstreams, ca)
        for case in corpus:
            recorder = plain if case.options.get("scheme") == "http" else secure
            result = gate.play(case, recorder)
            if case.answer is not None:
                probe = gate.play(PROBE, recorder)
                result.problems += probe.problems + ([] if agrees(PROBE, probe.events) else
                                                     [f"the next request got {probe.events} {probe.data[:300]}"])
            check(str(case), agrees(case, result.events) and not result.problems,
                  (case.expected, result.events, result.problems, result.closed, result.data[:300]))
        gate.close()
    check(f"{len(corpus)} cases were played", len(corpus) >= (1 if families else 300), len(corpus))


main()
finish()
