"""Names that resolve to what they should not: rebinding, private addresses among public ones, a DNS server that lies.

In a network namespace of its own, where the whole Internet is this test: public addresses are on its loopback, and so is
the only DNS server. Nothing of what stands at an internal address may ever be connected to.
"""
import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

from paddock import check, finish

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
import cases  # noqa: E402
import pki  # noqa: E402
from gate import Gate  # noqa: E402
from nameserver import A, CNAME, Nameserver, address_records, encode_name, record, reply  # noqa: E402
from recorder import Recorder, server_context  # noqa: E402

PUBLIC, OTHER = "93.184.216.34", "93.184.216.35"
INTERNAL = ["10.0.0.1", "169.254.169.254", "192.168.7.7", "100.100.100.200"]
POLICY = """\
version: 1
network:
  - name: any
    hosts: ["*.rebind.test"]
    methods: ["*"]
"""


def wrong(identity):
    """A datagram that is no answer, with that id, and then the right one."""
    def answer(query, end, kind):
        return [reply(query, end, address_records(["127.0.0.1", "::1"], kind), identity=identity),
                reply(query, end, address_records([PUBLIC], kind))]
    return answer


def other_question(query, end, kind):
    return [query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + encode_name("evil.rebind.test") +
            struct.pack(">HH", kind, 1) + record(A, bytes([127, 0, 0, 1]))]


def pointer_loop(query, end, kind):
    return [reply(query, end, []) [:6] + struct.pack(">HHH", 1, 0, 0) + query[12:end] + b"\xc0" + bytes([end]) +
            struct.pack(">HHIH", A, 1, 0, 4) + bytes([127, 0, 0, 1])]


def other_owner(query, end, kind):
    """An address for a name that nobody asked for."""
    return [reply(query, end, [record(A, bytes([127, 0, 0, 1]), name=encode_name("evil.rebind.test"))])]


def long_chain(query, end, kind):
    names = [f"c{i}.rebind.test" for i in range(60)]
    records = [record(CNAME, encode_name(names[0]))]
    records += [record(CNAME, encode_name(b), name=encode_name(a)) for a, b in zip(names, names[1:], strict=False)]
    return [reply(query, end, records + [record(A, bytes([127, 0, 0, 1]), name=encode_name(names[-1]))])]


def many(n, addresses):
    return [f"93.184.{i // 250}.{1 + i % 250}" for i in range(n)] + addresses


NAMES = {      # name: (what it is answered, what a request comes to; where it may arrive)
    "good": ([PUBLIC], "taken", PUBLIC),
    "other": ([OTHER], "taken", OTHER),
    "loopback": (["127.0.0.1"], "403"), "loopback6": (["::1"], "403"), "unspecified": (["0.0.0.0"], "403"),
    "unspecified6": (["::"], "403"), "ten": (["10.0.0.1"], "403"), "home": (["192.168.7.7"], "403"),
    "metadata": (["169.254.169.254"], "403"), "alibaba": (["100.100.100.200"], "403"),
    "metadata6": (["fd00:ec2::254"], "403"), "link-local": (["fe80::1"], "403"),
    "mapped": (["::ffff:127.0.0.1"], "403"), "mapped-metadata": (["::ffff:169.254.169.254"], "403"),
    "nat64": (["64:ff9b::7f00:1"], "403"), "6to4": (["2002:7f00:1::1"], "403"), "teredo": (["2001:0:7f00:1::"], "403"),
    "compatible": (["::127.0.0.1"], "403"), "multicast": (["224.0.0.1"], "403"), "broadcast": (["255.255.255.255"], "403"),
    "all-private": (["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"], "403"),
    "mixed": (["127.0.0.1", "10.0.0.1", PUBLIC, "::1"], "taken", PUBLIC),
    "mixed-last": ([PUBLIC, "169.254.169.254"], "taken", PUBLIC),
    "flip": ([[PUBLIC], ["127.0.0.1"]], "taken", PUBLIC),
    "cname-good": ({"cname": "good.rebind.test"}, "taken", PUBLIC),
    "cname-private": ({"cname": "loopback.rebind.test"}, "403"),
    "cname-localhost": ({"cname": "localhost"}, "refused"),
    "loop": ({"cname": "loop.rebind.test"}, "refused"), "loop-a": ({"cname": "loop-b.rebind.test"}, "refused"),
    "chain": (long_chain, "refused"),
    "nothing": ([], "502"), "nx": (None, "502"),
    "servfail": (lambda q, end, kind: [reply(q, end, [], rcode=2)], "refused"),
    "refused": (lambda q, end, kind: [reply(q, end, [], rcode=5)], "refused"),
    "rubbish": (lambda q, end, kind: [os.urandom(200)], "refused"),
    "short": (lambda q, end, kind: [q[:2] + b"\x81\x80"], "refused"),
    "cut": (lambda q, end, kind: [reply(q, end, [record(A, bytes([127, 0, 0, 1]))])[:-2]], "refused"),
    "short-address": (lambda q, end, kind: [reply(q, end, [record(A, bytes([127, 0]))])], "refused"),
    "count": (lambda q, end, kind: [q[:2] + struct.pack(">HHHHH", 0x8180, 1, 65535, 0, 0) + q[12:end]], "refused"),
    "wrong-id": (wrong(b"\0\1"), "taken", PUBLIC),
    "other-question": (other_question, "refused"), "other-owner": (other_owner, "refused"), "pointer": (pointer_loop, "refused"),
    "query": (lambda q, end, kind: [q], "refused"),
    "huge": (many(3000, ["127.0.0.1"]), "refused"),
    "silent": (lambda q, end, kind: [], "refused"),
}


def enter():
    """A user, network and mount namespace of this test's own, as the same user; loopback up, its DNS ours."""
    if os.environ.get("PADDOCK_RESOLVER") != "inside":
        os.environ["PADDOCK_RESOLVER"] = "inside"
        os.execvp("unshare", ["unshare", "--user", "--map-current-user", "--keep-caps", "--net", "--mount", sys.executable,
                              "-u", *sys.argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        up = struct.pack("16sH14x", b"lo", 1 | 64)
        fcntl.ioctl(s, 0x8914, up)                                    # SIOCSIFFLAGS
        for n, address in enumerate([PUBLIC, OTHER, *INTERNAL], 1):
            alias = f"lo:{n}".encode()
            fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", alias, socket.AF_INET, 0, socket.inet_aton(address)))
            fcntl.ioctl(s, 0x891c, struct.pack("16sHH4s8x", alias, socket.AF_INET, 0, b"\xff\xff\xff\xff"))
            fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", alias, 1 | 64))


def drop():
    """The capabilities that enter() needed."""
    ctypes.CDLL(None).prctl(47, 4, 0, 0, 0)        # PR_CAP_AMBIENT, CLEAR_ALL: gone with the next exec


def request(name, path="/x"):
    case = cases.Case("resolver", name)
    case.options = {"connect": f"{name}.rebind.test", "limit": "40"}
    case.parts = [(None, f"GET {path} HTTP/1.1\r\nHost: {name}.rebind.test\r\nConnection: close\r\n\r\n".encode())]
    case.expected = [f"taken GET {path}"]
    return case


def arrived_at(recorders):
    return {address for address, r in recorders.items() if r.connections}


def forget(recorders):
    for r in recorders.values():
        with r.lock:
            r.connections = []


def play(gate, recorders, name, wanted, place=None):
    forget(recorders)
    began = time.monotonic()
    result = gate.play(request(name), recorders[place or PUBLIC])
    came = {e.split()[0] if e.startswith("taken") else e.split()[-1] for e in result.events}
    good = came == {wanted} or (wanted == "refused" and came <= {"403", "502", "504"})
    check(f"{name}: {wanted}", good, (result.events, result.problems, result.closed, result.data[:400]))
    places = arrived_at(recorders)
    check(f"{name}: {'only ' + place if place else 'nothing'} was connected to", places <= {place}, places)
    outcome = next((r for r in result.rows if r["kind"] == "outcome"), {})
    if place:
        check(f"{name}: the trail has the address that was dialled", outcome.get("address") == place, outcome)
    check(f"{name}: in time", time.monotonic() - began < 30, time.monotonic() - began)


def main():
    enter()
    answers = {f"{n}.rebind.test": v[0] for n, v in NAMES.items() if v[0] is not None}
    answers |= {"loop-b.rebind.test": {"cname": "loop-a.rebind.test"}, "localhost": ["127.0.0.1", "::1"]}
    with tempfile.TemporaryDirectory(prefix="paddock-resolver-") as directory:
        resolv = pathlib.Path(directory) / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\nsearch rebind.test\n")
        subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
        nameserver = Nameserver(answers)
        ca, leaf, key = pki.make(directory, ["*.rebind.test"])
        recorders = {a: Recorder(server_context(leaf, key), (a, 443)) for a in [PUBLIC, OTHER, "127.0.0.1", "::1", *INTERNAL]}
        drop()
        gate = Gate(POLICY, {}, ca)
        for name, (_, *wanted) in NAMES.items():
            play(gate, recorders, name, *wanted)
        play(gate, recorders, "flip", "403")       # the second time it is another address: judged again
        asked = [n for n, _ in nameserver.asked if n.endswith(".rebind.test.rebind.test")]
        check("no search domain was ever put behind a name", not asked, asked)
        play(gate, recorders, "good", "taken", PUBLIC)
        gate.close()


main()
finish()
