"""HTTP/2 in the guest against HTTP/1.1 and HTTP/2 upstreams, and HTTP/1.1 against HTTP/2: bodies, trailers, hints,
early answers, cut-off ones, WebSockets, denials; the same rules and the same trail for all of them."""
import json
import shutil

from clients import spoken
from http2_servers import Servers
from paddock import TESTS, check, finish, sandbox, skip

POLICY = """\
version: 1
network:
  - name: app
    hosts: [one.example.test, two.example.test]
    methods: [GET, POST]
    websocket: true
    addresses: [127.0.0.0/8]
"""


def curl(s, options):
    for guest in ("1.1", "2"):
        flag = "--http2" if guest == "2" else "--http1.1"
        for host, upstream in (("one", "1.1"), ("two", "2.0")):
            r = s.sh(f"curl -sS {flag} -w '\\n%{{http_version}} %{{http_code}}' -d 0123456789 "
                     f"https://{host}.example.test/post", "--quiet", *options)
            body, _, status = r.stdout.rpartition("\n")
            said = json.loads(body) if body.startswith("{") else {}
            check(f"curl by HTTP/{guest} to an upstream of HTTP/{upstream}: a body up, an answer down",
                  status == f"{guest} 200" and said.get("version") == upstream and said.get("bytes") == 10,
                  (r.stdout, r.stderr))
            names = {"1.1": "http/1.1", "2": "h2", "2.0": "h2"}
            told = spoken(s, f"{host}.example.test")
            check("and the trail says so of both sides", told == ({names[guest]}, {names[upstream]}), told)


def one_session(s, host, version, options):
    r = s.run(["node", "http2_client.mjs", host], "--quiet", *options)
    try:
        got = json.loads(r.stdout)
    except json.JSONDecodeError:
        check(f"a client's session with {host}", False, (r.stdout, r.stderr))
        return
    said = json.loads(got["get"].get("body") or "{}")
    check(f"{version}: a request and its query arrive", said.get("url") == "/get?a=b" and said["version"] == version, got["get"])
    said = json.loads(got["post"].get("body") or "{}")
    check(f"{version}: five megabytes go up whole", said.get("sha256") == got["sent"], got["post"])
    check(f"{version}: trailers of the request arrive", said.get("trailers", {}).get("x-sum") == "7", said.get("trailers"))
    check(f"{version}: early hints come before the answer", got["hints"].get("hints") == 103 and got["hints"]["status"] == 200, got["hints"])
    check(f"{version}: trailers of the answer come after it", got["trailers"].get("trailers", {}).get("grpc-status") == "0", got["trailers"])
    times = got["events"]["times"]
    check(f"{version}: events come as they happen", len(times) >= 4 and times[-1] - times[0] >= 250, times)
    check(f"{version}: an answer before the body ends the upload", got["early"].get("status") == 403 and got["early"]["code"] == 0, got["early"])
    check(f"{version}: an answer that was cut off is reset", got["cut"].get("code") not in (0, None), got["cut"])
    check(f"{version}: what no rule allows is denied in words",
          got["denied"].get("status") == 403 and "POLICY_DENIED" in got["denied"].get("body", ""), got["denied"])
    check(f"{version}: another authority must move", got["other"].get("status") == 421, got["other"])
    check(f"{version}: eighty at once", got["many"] == 80, got["many"])
    check(f"{version}: eight megabytes come down", got["big"] == {"status": 200, "bytes": 8 << 20}, got["big"])
    for name in ("socket1", "socket2"):
        check(f"{version}: a WebSocket by {'HTTP/1.1' if name == 'socket1' else 'HTTP/2'}, with its close code",
              got[name] == "\x81\x05hello\x88\x02\x03\xe8", got[name])


def first_version(s, host, version, options):
    """HTTP/1.1 by hand, against each upstream."""
    what = f"HTTP/1.1 to an upstream of HTTP/{version}"
    r = s.run(["python3", "http1_client.py", host], "--quiet", *options)
    try:
        got = json.loads(r.stdout)
    except json.JSONDecodeError:
        check(f"{what}: a client's exchanges", False, (r.stdout, r.stderr))
        return
    said = json.loads(got["hints"]["body"])
    check(f"{what}: early hints come before the answer", got["hints"]["status"] == 200 and said["version"] == version and
          [h[0] for h in got["hints"]["hints"]] == [103] and "style.css" in got["hints"]["hints"][0][1].get("link", ""), got["hints"])
    said = json.loads(got["post"]["body"])
    check(f"{what}: a chunked body goes up whole, and its trailers after it", said["bytes"] == 1234 and said["url"] == "/post?a=b" and
          said["trailers"].get("x-sum") == "7", got["post"])
    check(f"{what}: trailers of the answer come after its body", got["trailers"]["body"] == "body" and
          got["trailers"]["trailers"] == {"grpc-status": "0", "grpc-message": "fine"}, got["trailers"])
    check(f"{what}: and the connection is good for another request", json.loads(got["after"]["body"])["url"] == "/after", got["after"])
    check(f"{what}: an answer before the body comes whole, and ends the upload", got["early"]["status"] == 403 and
          got["early"]["body"] == "no\n" and got["early"]["ended"], got["early"])
    cut = got["cut"]
    check(f"{what}: an answer that was cut off ends short", cut["status"] == 200 and not cut["whole"] and
          len(cut["body"]) < 1000 and cut["ended"], cut)
    paths = {x["request"]: x["url"].rpartition("/")[2] for x in s.records("intent")}
    results = {paths[x["request"]]: x.get("result") for x in s.records("outcome")}
    check(f"{what}: the trail says what was cut off, and what a client left", results.get("cut") == "UPSTREAM_CLOSED" and
          results.get("events") == "CANCELLED" and got["left"] == 200, results)


def first_socket(s, options):
    """The first thing that is said to an upstream of h2 alone is a WebSocket of HTTP/1.1."""
    r = s.run(["node", "http2_client.mjs", "two.example.test", "socket"], "--quiet", *options)
    check("a first WebSocket reaches an upstream that speaks h2 alone", r.stdout == "\x81\x05hello\x88\x02\x03\xe8\n",
          (r.stdout, r.stderr))
    protocols = [x.get("protocol") for x in s.records("outcome")]
    check("by extended CONNECT", protocols == ["h2"], s.records("outcome"))


def curl_socket(s, options):
    """curl reads WebSockets where it was built so; it says nothing, so that there is nothing to be answered."""
    what = "curl: a WebSocket opens"
    protocols = [x for x in s.sh("curl --version", "--quiet").stdout.splitlines() if x.startswith("Protocols:")]
    if not protocols or "wss" not in protocols[0].split():
        skip(what, "this curl speaks no WebSocket")
        return
    r = s.sh("curl -sS -N -m 5 -o /dev/null -w '%{http_code}' wss://two.example.test/socket", "--quiet", *options)
    check(what, r.stdout == "101", (r.stdout, r.stderr))


def trail(s):
    denials = [r for r in s.records("denial")]
    check("the trail has the denial", any(r.get("method") == "DELETE" for r in denials), denials)
    outcomes = s.records("outcome")
    intents = s.records("intent")
    check("each intent has its outcome", len(intents) == len(outcomes) and len(intents) >= 90, (len(intents), len(outcomes)))


servers = Servers()
try:
    with sandbox("http2", policy=POLICY) as s:
        shutil.copy(TESTS / "world" / "http2_client.mjs", s.workspace)
        curl(s, servers.options())
        one_session(s, "one.example.test", "1.1", servers.options())
        one_session(s, "two.example.test", "2.0", servers.options())
        trail(s)
        first_socket(s, servers.options())
        curl_socket(s, servers.options())
        shutil.copy(TESTS / "system" / "http1_client.py", s.workspace)
        first_version(s, "one.example.test", "1.1", servers.options())
        first_version(s, "two.example.test", "2.0", servers.options())
finally:
    servers.close()
finish()
