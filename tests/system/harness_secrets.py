"""I1: after real use of credentials no process that parses the agent's bytes, and no file of the guest, has one of them.

A header's, a login's refresh token and the tokens fetched with it, AWS keys, the key of a client certificate: each really
used, and given away by an upstream where one can. Reads other processes' memory, so it runs as root. needs: root
"""
import base64
import hashlib
import hmac
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.parse

from credentials import AWS_KEY, AWS_SECRET, AWS_TOKEN, Services
from paddock import MACHINE, api_policy, check, finish, sandbox, skip, wait_for, world

RULE = '  - {{hosts: ["{0}"], methods: ["*"], addresses: [127.0.0.0/8]{1}}}\n'
RULES = "".join(RULE.format(host, f", credential: {name}" if name else "") for host, name in (
    ("api.creds.test", "login"), ("id.creds.test", None), ("sts.us-east-1.amazonaws.com", "aws"), ("mtls.creds.test", "certificate")))
CREDENTIALS = """\
  login:
    source: {{file: {0}/refresh}}
    hosts: [api.creds.test]
    strategy: token
    token: {{grant: refresh_token, endpoint: "https://id.creds.test/token", client_id: svc, addresses: [127.0.0.0/8]}}
    placeholder: {{environment: TOKEN, prefix: ph-}}
  aws:
    source: {{file: {0}/keys}}
    hosts: ["*.amazonaws.com"]
    strategy: sigv4
    sigv4: {{services: [sts]}}
    placeholder: {{files: [{{kind: aws}}]}}
  certificate:
    source: {{file: {0}/client.pem}}
    hosts: [mtls.creds.test]
    strategy: certificate
"""
SCRIPT = """\
ask() { curl -sS "$@" >/dev/null; }
for i in 1 2; do
	ask --compressed https://api.example.test/items https://api.example.test/echo https://api.example.test/echo/gzip \\
		https://api.creds.test/bearer https://mtls.creds.test/
	ask -H "authorization: Bearer $TOKEN" https://api.creds.test/bearer
	ask https://id.creds.test/token -d "grant_type=refresh_token&client_id=svc&refresh_token=$TOKEN"
	ask --aws-sigv4 aws:amz:us-east-1:sts --user "$(sed -n 's/^aws_access_key_id *= *//p' ~/.aws/credentials):x" \\
		"https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
done
env >environment
tar -C / -cf guest.tar --exclude=./proc --exclude=./sys --exclude=./usr --exclude=./opt --exclude=".$PWD" . 2>/dev/null
echo done >finished
sleep 1000
"""
MAY_HOLD = {"paddock", "paddock-harness", "paddock-courier", "paddock-keeper"}
SEARCHED = {"paddock-inspect", "paddock-decoder", "paddock-files", "paddock-termina"}


def forms(raw):
    """The secret as it could stand in memory: raw, hex, percent-encoded, base64 in three alignments."""
    out = {raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(raw, safe="").encode(),
           "".join(f"%{b:02X}" for b in raw).encode(), raw.decode("latin-1").encode("utf-16-le")}
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + raw)
        out.add(text[4 if shift else 0:-4])
        out.add(text[4 if shift else 0:-4].replace(b"+", b"-").replace(b"/", b"_"))
    return {f for f in out if len(f) >= 12}


def key_forms(file):
    """Of a P-256 key: its scalar, also as OpenSSL keeps a number (the last digit first), and the lines of its file."""
    der = subprocess.run(["openssl", "ec", "-in", file, "-outform", "DER"], check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
    lines = pathlib.Path(file).read_bytes().split(b"-----")[2].split()
    return forms(der[7:39]) | {der[7:39][::-1]} | set(lines[:2])


def aws_forms(row):
    """Of the secret key, and of what is made of it to sign all of that day."""
    key = ("AWS4" + AWS_SECRET).encode()
    for part in row["headers"]["authorization"].split("Credential=")[1].split(",")[0].split("/")[1:]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return forms(AWS_SECRET.encode()) | forms(key)


def memory(pid):
    """Every readable page of a process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line)
            if not m or m[3][0] != "r" or "[vvar" in line or "[vsyscall" in line:
                continue
            start, end = int(m[1], 16), int(m[2], 16)
            while start < end:
                step = min(end - start, 1 << 20)
                try:
                    mem.seek(start)
                    yield mem.read(step)
                except OSError:
                    pass
                start += step


def held(chunks, secrets):
    """Names of the secrets that are in these bytes."""
    found, tail, nothing = set(), b"", bytes(1 << 20)
    for chunk in chunks:
        if chunk == nothing:
            tail = b""
            continue
        data = tail + chunk
        found |= {name for name, needles in secrets.items() if any(n in data for n in needles)}
        tail = data[-200:]
    return found


def descendants(root):
    parent = {}
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                parent[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found, grew = {root}, True
    while grew:
        more = {c for c, up in parent.items() if up in found} - found
        grew = bool(more)
        found |= more
    return found


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def file_bytes(path):
    try:
        return path.read_bytes() if path.is_file() and not path.is_symlink() and path.stat().st_size < 50 << 20 else b""
    except OSError:
        return b""


def guest_files(pid):
    """Each file that a process of the guest could name, but those of the host's own read-only directories."""
    for directory, below, names in os.walk(f"/proc/{pid}/root/"):
        below[:] = [b for b in below if b not in ("proc", "sys") and
                    not os.statvfs(os.path.join(directory, b)).f_flag & os.ST_RDONLY]
        yield from (pathlib.Path(directory, n) for n in names)


def ended_early(s, p):
    """The sandbox should have used its credentials, and go on while it is searched; if not, in its own words why."""
    state, done = p.poll(), (s.workspace / "finished").exists()
    if done and state is None:
        return False
    p.terminate()
    out, err = p.communicate(timeout=60)
    what = "was still at it" if state is None else f"had ended with {state}"
    return not check("the sandbox has used its credentials, and is there to be searched", False,
                     f"it {what}; its script {'had' if done else 'had not'} come to its end\n"
                     f"{[(r['kind'], r.get('result'), r.get('url')) for r in s.records()[-6:]]}\n{out}\n{err}")


def processes(family, secrets):
    holders, seen = set(), set()
    for pid in sorted(family):
        name = name_of(pid)
        seen.add(name)
        found = held(memory(pid), secrets)
        if name[:15] in {m[:15] for m in MAY_HOLD}:
            holders |= found
        else:
            check(f"the memory of {name} has none of them in any form", not found, found)
    for name in set(secrets) - {"the AWS secret key"}:      # the keeper reads that anew for each signature
        check(f"the search works: the courier or the keeper has {name}", name in holders, holders)
    wanted = SEARCHED | (set() if MACHINE == "qemu" else {"paddock-init", "sleep"})
    check("each process that may not have them was searched", wanted <= seen and
          (MACHINE != "qemu" or any(x.startswith("qemu") for x in seen)), seen)


def files(s, family, secrets):
    if MACHINE != "qemu":
        for name in ("paddock-init", "sleep"):
            searched = {p: held([file_bytes(p)], secrets) for x in family if name_of(x) == name for p in guest_files(x)}
            bad = {str(p): found for p, found in searched.items() if found}
            check(f"no file that {name} sees has one", not bad and
                  any(str(p).endswith("/.aws/credentials") for p in searched), (bad, len(searched)))
    bad = {str(p): found for p in s.workspace.rglob("*") if (found := held([file_bytes(p)], secrets))}
    archive = file_bytes(s.workspace / "guest.tar")
    check("no file of the workspace has one, and none of those that the agent put in an archive", not bad and
          b".aws/credentials" in archive, (bad, len(archive)))
    bad = {str(p): found for p in s.state.rglob("*") if (found := held([file_bytes(p)], secrets))}
    check("the trail has none", not bad, bad)


def main(w, services, s):
    token, first = w.info["tokens"]["api"], services.provider.login("file")
    for name, text in (("refresh", first + "\n"), ("client.pem", (services.pki / "client-both.pem").read_text()),
                       ("keys", f"[default]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {AWS_SECRET}\n"
                                f"aws_session_token = {AWS_TOKEN}\n")):
        (s.root / name).write_text(text)
        (s.root / name).chmod(0o600)
    s.set_policy(api_policy("GET, POST").replace("credentials:\n", RULES + "credentials:\n") + CREDENTIALS.format(s.root))
    (s.root / "ca").write_text(pathlib.Path(w.info["ca"]).read_text() + (services.pki / "ca.pem").read_text())
    p = s.start(["sh", "-c", SCRIPT], "--upstream-ca", str(s.root / "ca"), *services.options_for(*services.HOSTS),
                env={"API_TOKEN": token}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: p.poll() is not None or (s.workspace / "finished").exists(), 400)
    if ended_early(s, p):
        return
    rows = services.asked
    used = {"header": any(r.get("path", r.get("url", "")).startswith("/items") for r in w.requests()),
            "token": any(services.provider.good(r["headers"].get("authorization", "")[7:]) for r in services.of("api.creds.test")),
            "aws": any(r.get("good") for r in rows), "certificate": any(r["client"] == "agent-client" for r in rows)}
    if not check("each credential was used, and the upstream took it", all(used.values()), (used, rows, s.records("outcome"))):
        return
    secrets = {"the header's secret": forms(token.encode()), "the AWS secret key": aws_forms([r for r in rows if r.get("good")][0]),
               "the AWS session token": forms(AWS_TOKEN.encode()), "the certificate's key": key_forms(services.pki / "client.key"),
               "the refresh token": forms((s.root / "refresh").read_bytes().strip()),
               "the fetched token": set().union(*(forms(t.encode()) for t in services.provider.access))}
    try:
        family = descendants(p.pid)
        processes(family, secrets)
        files(s, family, {**secrets, "the first refresh token": forms(first.encode())})
    except OSError as error:
        print(f"# {error}")	# a process that is no more; the next line says more
    if not ended_early(s, p):
        check("the sandbox was there until all was searched", True)
        p.terminate()
        p.communicate(timeout=60)


if os.getuid() != 0:
    skip("secrets in the memory of other processes", "to read it needs root")
else:
    with world() as w, tempfile.TemporaryDirectory(prefix="paddock-pki-") as d, sandbox("secrets", w) as s:
        main(w, Services(d), s)
finish()
