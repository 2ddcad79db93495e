"""Credentials in every place that services want them: placeholders, SigV4, tokens by each grant, client certificates; what
stands where it may not is blocked; the agent's own is refused; token endpoints are never reached by the agent."""
import base64
import hashlib
import json
import os
import subprocess
import tempfile
import time

from credentials import AWS_KEY, AWS_SECRET, AWS_TOKEN, CLIENT_SECRET, Services
from paddock import check, finish, sandbox, wait_for

SECRET = 'real/secret?with&odd="chars\\%+:@'
PH = "placeholder-0123456789"


def rule(host, credential, more=""):
    return (f"  - {{name: {host.split('.')[0]}, hosts: [{host}], methods: [\"*\"], credential: {credential}, "
            f"addresses: [127.0.0.0/8]{more}}}\n")


def policy(rules, credentials):
    return "version: 1\nnetwork:\n" + rules + "credentials:\n" + credentials


def curl(what, *more):
    return f"curl -sS -o /dev/null -w '%{{http_code}} ' --max-time 20 {' '.join(more)} '{what}'; "


def said(r):
    return r.returncode, r.stdout[-1500:], r.stderr[-2500:]


def placeholders(s, w):
    s.set_policy(policy(rule("api.creds.test", "one") + rule("other.creds.test", "one"), f"""\
  one:
    source: {{environment: ONE}}
    hosts: [api.creds.test]
    strategy: placeholder
    placeholder: {{value: {PH}, in: [header, basic, query, path, body]}}
""").replace("  - {name: other, hosts: [other.creds.test], methods: [\"*\"], credential: one, ",
             "  - {name: other, hosts: [other.creds.test], methods: [\"*\"], "))
    w.forget()
    basic = base64.b64encode(f"user:{PH}".encode()).decode()
    js, form = "-H 'content-type: application/json'", "-H 'content-type: application/x-www-form-urlencoded'"
    api = "https://api.creds.test"
    r = s.sh(curl(f"{api}/h", f"-H 'x-key: {PH}'") + curl(f"{api}/b", f"-H 'authorization: Basic {basic}'") +
             curl(f"{api}/q?a=1&key={PH}&b=2") + curl(f"{api}/bot{PH}/x") +
             curl(f"{api}/j", js, f"-d '{{\"k\":\"{PH}\"}}'") + curl(f"{api}/f", form, f"-d 'k={PH}&z=1'") +
             curl(f"{api}/j2", js, "-H 'transfer-encoding: chunked'", f"-d '[\"{PH}\"]'"),
             "--quiet", *w.options(), env={"ONE": SECRET})
    rows = {row["target"].split("?")[0].split("/")[1]: row for row in w.of("api.creds.test")}
    check("placeholders: all are answered", r.stdout == "200 " * 7, said(r))
    if len(rows) == 7:
        check("placeholders: header", rows["h"]["headers"]["x-key"] == SECRET, rows["h"])
        check("placeholders: Basic", base64.b64decode(rows["b"]["headers"]["authorization"][6:]).decode() == f"user:{SECRET}", rows["b"])
        check("placeholders: query", rows["q"]["target"] == "/q?a=1&key=real%2Fsecret%3Fwith%26odd%3D%22chars%5C%25%2B%3A%40&b=2", rows["q"])
        path = [t for t in rows if t.startswith("bot")][0]
        check("placeholders: path", path == "botreal%2Fsecret%3Fwith%26odd%3D%22chars%5C%25%2B:@", path)
        check("placeholders: JSON", json.loads(rows["j"]["body"])["k"] == SECRET and
              json.loads(rows["j2"]["body"]) == [SECRET], rows["j"])
        check("placeholders: form", rows["f"]["body"] == b"k=real%2Fsecret%3Fwith%26odd%3D%22chars%5C%25%2B%3A%40&z=1", rows["f"])
    w.forget()
    r = s.sh(curl("https://other.creds.test/h", f"-H 'x-key: {PH}'") + curl(f"https://other.creds.test/?k={PH}") +
             curl("https://other.creds.test/", f"-d '{PH}'") + curl(f"{api}/x", f"-H 'referer: {PH}'") +
             curl(f"{api}/x", "-H 'content-type: text/plain'", f"-d 'k {PH}'") +
             curl(f"{api}/x", js, "-d '{\"k\":\"\\u0070laceholder-0123456789\"}'"),
             "--quiet", *w.options(), env={"ONE": SECRET})
    blocked = [o for o in s.records() if o.get("result") == "PLACEHOLDER_BLOCKED"]
    check("placeholders: elsewhere they are blocked, and recorded", r.stdout.startswith("403 403 403 403 403 ") and
          len(blocked) >= 5 and all(b["placeholder_of"] == "one" for b in blocked), (said(r), blocked))
    check("placeholders: and reach nobody", not any(PH.encode() in row["body"] or PH in str(row) for row in w.asked), w.asked)


def own(s, w):
    for verb, status, sent in (("refuse", "403", None), ("replace", "200", "Bearer real-secret-0123456789"),
                               ("pass", "200", "Bearer ghp_somebody-elses-0123456789")):
        s.set_policy(policy(rule("api.creds.test", "one"), f"""\
  one:
    source: {{environment: ONE}}
    hosts: [api.creds.test]
    header: {{name: authorization, format: "Bearer {{secret}}"}}
    own: {verb}
"""))
        w.forget()
        r = s.sh(curl("https://api.creds.test/", "-H 'authorization: Bearer ghp_somebody-elses-0123456789'") +
                 curl("https://api.creds.test/", "-H 'authorization: Bearer dummy'"), "--quiet", *w.options(),
                 env={"ONE": "real-secret-0123456789"})
        got = [row["headers"].get("authorization") for row in w.asked]
        wanted = [sent] if sent else []
        check(f"own: {verb}", r.stdout == f"{status} 200 " and got == wanted + ["Bearer real-secret-0123456789"], (said(r), got))
    check("own: what passes is on record without ours", s.records("denial") == [] and
          [i.get("credential") for i in s.records("intent")] == [None, "one"], s.records("intent"))


def beside(s, w):
    """A credential of the agent's own beside the bound one, which a service could go by as well."""
    theirs, host = "sk-ant-api03-somebodys-0123456789", "https://api.creds.test/"
    for verb, status, gone in (("refuse", "403", None), ("replace", "200", True), ("pass", "200", False)):
        s.set_policy(policy(rule("api.creds.test", "one"), f"""\
  one:
    source: {{environment: ONE}}
    hosts: [api.creds.test]
    header: {{name: x-api-key}}
    own: {verb}
"""))
        w.forget()
        r = s.sh(curl(host, f"-H 'authorization: Bearer {theirs}'") + curl(f"{host}?api_key={theirs}") + curl(host), "--quiet",
                 *w.options(), env={"ONE": "real-secret-0123456789"})
        sent = [(row["headers"].get("authorization"), row["headers"].get("x-api-key"), row["target"]) for row in w.asked]
        wanted = {"refuse": [], "replace": [(None, "real-secret-0123456789", "/")],
                  "pass": [(f"Bearer {theirs}", None, "/"), (None, None, f"/?api_key={theirs}")]}[verb]
        in_query = "200" if verb == "pass" else "403"
        check(f"own beside it: {verb}", r.stdout == f"{status} {in_query} 200 " and
              sent == wanted + [(None, "real-secret-0123456789", "/")], (said(r), sent))

    s.paddock("init", "claude", "--force", cwd=s.root)
    s.set_policy((s.root / "paddock.yaml").read_text())
    w.forget()
    url, ours = "https://api.anthropic.com/v1/messages", '-H "x-api-key: $ANTHROPIC_API_KEY"'
    r = s.sh(curl(url, ours) + curl(url, '-H "authorization: Bearer $ANTHROPIC_API_KEY"') +
             curl(url, ours, f"-H 'authorization: Bearer {theirs}'") + curl(url, f"-H 'x-api-key: {theirs}'") +
             curl(url, ours, f"-H 'api-key: {theirs}'") + curl(f"{url}?key={theirs}", ours) +
             curl("https://api.anthropic.com/api/me", f"-H 'x-auth-token: {theirs}'"), "--quiet", *w.options(),
             env={"ANTHROPIC_API_KEY": "sk-ant-api03-the-real-one-0123456789"})
    check("the template for Claude: ours goes in both headers, and no other beside it",
          r.stdout == "200 200 403 403 403 403 403 " and len(w.asked) == 2 and theirs not in str(w.asked), (said(r), w.asked))
    refused = [d for d in s.records("denial") if d.get("result") == "CREDENTIAL_FOREIGN"]
    check("the template for Claude: each is on record", len(refused) == 5, s.records("denial"))


AWS = """\
  aws:
    source: {file: KEYS}
    hosts: ["*.amazonaws.com"]
    strategy: sigv4
    sigv4: {services: [s3, sts], regions: [us-east-1]}
    placeholder: {files: [{kind: aws}]}
"""


def aws(s, w):
    keys = s.root / "keys"
    keys.write_text(f"[default]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {AWS_SECRET}\n"
                    f"aws_session_token = {AWS_TOKEN}\n")
    os.chmod(keys, 0o600)
    s.set_policy(policy(rule('"*.amazonaws.com"', "aws").replace("name: \"*", "name: aws"), AWS.replace("KEYS", str(keys))))
    w.forget()
    script = """
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_CA_BUNDLE=$SSL_CERT_FILE AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1
cat ~/.aws/credentials
aws sts get-caller-identity --output text
echo 'hello world' > /tmp/f; aws s3api put-object --bucket bucket --key 'a b/ü+(1).txt' --body /tmp/f --metadata 'note=two  spaces'
aws s3api list-objects-v2 --bucket bucket --prefix 'x/ y&z=' >/dev/null && echo listed
aws --region eu-west-1 --endpoint-url https://sts.us-east-1.amazonaws.com sts get-caller-identity 2>&1 | tail -1
"""
    r = s.sh(script, "--quiet", *w.options())
    good = [(row["service"], row["method"]) for row in w.asked if row.get("good")]
    check("sigv4: the AWS CLI's requests verify with the real keys", good == [("sts", "POST"), ("s3", "PUT"), ("s3", "GET")], (said(r), w.asked))
    check("sigv4: the agent has other keys", AWS_KEY not in r.stdout and AWS_SECRET not in r.stdout and "aws_secret_access_key" in r.stdout, said(r))
    check("sigv4: another region is refused", "denied by policy" in r.stdout or "403" in r.stdout, said(r))
    put = [row for row in w.asked if row["method"] == "PUT"]
    check("sigv4: the body is whole", put and b"hello world\n" in put[0]["body"], put)
    w.forget()
    r = s.sh("""
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
url=$(aws s3 presign s3://bucket/some/key)
""" + curl("$url").replace("'$url'", '"$url"') + curl("https://bucket.s3.us-east-1.amazonaws.com/k",
           "-H 'authorization: AWS4-HMAC-SHA256 Credential=AKIASOMEBODYELSES123/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
           f"Signature={'0' * 64}'", "-H 'x-amz-date: 20260101T000000Z'") +
             curl("https://bucket.s3.us-east-1.amazonaws.com/k", "-H 'authorization: AWS AKID:old'"), "--quiet", *w.options())
    good = [row for row in w.asked if row.get("good")]
    check("sigv4: a presigned request verifies", r.stdout.startswith("200 ") and len(good) == 1 and "X-Amz-Signature" in good[0]["target"], (said(r), w.asked))
    check("sigv4: another's key, another time, another version are refused", r.stdout == "200 400 400 ", said(r))
    w.forget()
    bucket, theirs = "https://bucket.s3.us-east-1.amazonaws.com/k", "somebodys-own-0123456789"
    r = s.sh(curl(bucket, f"-H 'authorization: Bearer {theirs}'") + curl(bucket, f"-H 'x-api-key: {theirs}'") +
             curl(bucket + "?X%2DAmz-Signature=" + "0" * 64) + curl(bucket), "--quiet", *w.options())
    check("sigv4: another's credential where nothing is signed is refused, and what has none passes",
          r.stdout.startswith("403 403 400 ") and len(w.asked) == 1 and theirs not in str(w.asked),
          (said(r), w.asked))


def download(s, w):
    """In parts, each written to its place: a part that was answered with the whole would spoil the file in silence."""
    w.forget()
    r = s.sh("""
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_CA_BUNDLE=$SSL_CERT_FILE AWS_EC2_METADATA_DISABLED=true
aws s3 cp --no-progress s3://bucket/big big >&2 && sha256sum big | cut -d' ' -f1
""", "--quiet", *w.options())
    parts = [row["headers"].get("range") for row in w.asked if row["method"] == "GET"]
    check("sigv4: aws s3 cp asks for 20 MiB in parts, signed anew", len(parts) > 1 and all(parts) and
          all(row.get("good") for row in w.asked), (said(r), parts))
    check("sigv4: and they come whole", r.stdout.strip() == hashlib.sha256(w.big).hexdigest(), said(r))


CHUNKS = r"""
import datetime, http.client, os, re, ssl, sys
kind, size = sys.argv[1], int(sys.argv[2])
key = re.search(r"aws_access_key_id *= *(\S+)", open(os.path.expanduser("~/.aws/credentials")).read())[1]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
data = (b"0123456789abcdef" * (size // 16 + 1))[:size] if size else sys.argv[3].encode()
step, body = 65536 if size else 7, b""
for i in range(0, len(data), step):
    part = data[i:i + step]
    body += b"%x%s\r\n%s\r\n" % (len(part), b"" if kind.startswith("STREAMING-UNSIGNED") else b";chunk-signature=" + b"0" * 64, part)
body += b"0%s\r\n" % (b"" if kind.startswith("STREAMING-UNSIGNED") else b";chunk-signature=" + b"0" * 64)
body += b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n" if kind.endswith("TRAILER") else b"\r\n"
headers = {"x-amz-date": now, "x-amz-content-sha256": kind, "content-encoding": "aws-chunked",
           "x-amz-decoded-content-length": str(len(data) + int(os.environ.get("LIE", "0"))), "authorization":
           f"AWS4-HMAC-SHA256 Credential={key}/{now[:8]}/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
           f"x-amz-decoded-content-length, Signature={'0' * 64}"}
if kind.endswith("TRAILER"):
    headers["x-amz-trailer"] = "x-amz-checksum-crc32"
c = http.client.HTTPSConnection("bucket.s3.us-east-1.amazonaws.com", context=ssl.create_default_context(), timeout=30)
try:
    c.request("PUT", "/big", body, headers)
    r = c.getresponse()
    print(r.status, r.read().decode(errors="replace")[:300])
except OSError as e:
    print("cut off", e)
"""


def chunks(s, w):
    keys = s.root / "keys"
    s.set_policy(policy(rule('"*.amazonaws.com"', "aws").replace("name: \"*", "name: aws") + rule("other.creds.test", "one"),
                        AWS.replace("KEYS", str(keys)) + f"""\
  one:
    source: {{environment: ONE}}
    hosts: [other.creds.test]
    strategy: placeholder
    placeholder: {{value: {PH}}}
"""))
    (s.workspace / "chunks.py").write_text(CHUNKS)
    signed, unsigned = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    whole = b"0123456789abcdef" * (5 * 65536)

    def send(kind, size, text="", lie="0"):
        w.forget()
        return s.sh(f"LIE={lie} python3 chunks.py {kind} {size} '{text}'", "--quiet", *w.options(), env={"ONE": SECRET})

    for kind in (signed, signed + "-TRAILER"):
        r = send(kind, len(whole))
        row = w.asked[0] if w.asked else {"headers": {}, "body": b""}
        check(f"sigv4: {kind.lower()}: the payload arrives, unsigned, with a good signature", r.stdout.startswith("200") and row.get("good") and
              row["body"] == whole and row["headers"]["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" and
              "x-amz-trailer" not in row["headers"] and "content-encoding" not in row["headers"], (said(r), row["headers"]))
    r = send(unsigned, len(whole))
    row = w.asked[0] if w.asked else {"headers": {}, "body": b""}
    check("sigv4: unsigned chunks with a checksum pass as they are", r.stdout.startswith("200") and row.get("good") and
          row["body"].endswith(b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n") and len(row["body"]) > len(whole), (said(r), row["headers"]))
    for kind in (signed, unsigned):
        r = send(kind, 0, f"some text with {PH} in it")
        check(f"sigv4: {kind.lower()}: a placeholder in pieces is found", "200" not in r.stdout[:4] and
              [o for o in s.records() if o.get("result") == "PLACEHOLDER_BLOCKED"] and
              not [row for row in w.asked if b"holder" in row["body"]], (said(r), w.asked))
    for lie in ("5", "-5"):
        r = send(signed, 100, "", lie)
        check(f"sigv4: a payload of another length than announced ({lie})", "200" not in r.stdout[:4] and not [row for row in w.asked if row.get("good")],
              (said(r), w.asked))


def token_policy(token, source="{environment: ONE}", more=""):
    return policy(rule("api.creds.test", "t") + rule("id.creds.test", "t").replace("credential: t, ", ""), f"""\
  t:
    source: {source}
    hosts: [api.creds.test]
    strategy: token
    token: {{{token}, addresses: [127.0.0.0/8]}}
    placeholder: {{environment: TOKEN, prefix: ph-}}
{more}""")


ID = 'endpoint: "https://id.creds.test/token"'


def tokens(s, w):
    s.set_policy(token_policy(f"grant: client_credentials, {ID}, client_id: svc, scope: read"))
    w.forget()
    many = "for i in 1 2 3 4 5 6; do " + curl("https://api.creds.test/bearer").rstrip("; ") + " & done; wait; "
    r = s.sh(many + curl("https://api.creds.test/bearer", '-H "authorization: Bearer $TOKEN"') +
             "curl -sS -X POST https://id.creds.test/token -d grant_type=client_credentials -d client_secret=x", "--quiet",
             *w.options(), env={"ONE": CLIENT_SECRET})
    check("tokens: client credentials, fetched once for all", r.stdout.startswith("200 " * 7) and len(w.of("id.creds.test")) == 1,
          (said(r), w.asked))
    check("tokens: the agent's own request to the endpoint is answered with placeholders", '"access_token":"ph-' in r.stdout, said(r))
    rows = [i for i in s.records("intent") if i.get("purpose") == "token"]
    check("tokens: the courier's request is on record, with whom it serves", len(rows) == 1 and rows[0]["serves"] and
          rows[0]["credential"] == "t", rows)
    check("tokens: so is what is answered here", [o for o in s.records("outcome") if o.get("answered_here")], s.records("outcome"))

    r = s.sh("curl -sS https://api.creds.test/bearer; " * 2, "--quiet", *w.options(), env={"ONE": "wrong-secret-0123456789"})
    check("tokens: a failure is told in words, and not repeated at once", r.stdout.count("the token endpoint answered 401 invalid_client") == 2
          and len(w.of("id.creds.test")) == 2, (said(r), w.of("id.creds.test")))

    for name, answer in (("HTML", (200, b"<html><body>Welcome</body></html>")), ("a redirect", (302, b"")),
                         ("garbage", (200, bytes(range(256)))), ("too much", (200, b"[" + b"1," * 200000 + b"1]")),
                         ("a token with a line in it", (200, b'{"access_token":"0123456789abcdef\\r\\nx-evil: 1"}'))):
        w.provider.fail = answer
        w.forget()
        r = s.sh("curl -sS https://api.creds.test/bearer", "--quiet", *w.options(), env={"ONE": CLIENT_SECRET})
        check(f"tokens: {name} for an answer", "CREDENTIAL" in r.stdout and not w.of("api.creds.test"), (said(r), w.asked))
    w.provider.fail = None

    w.provider.life = 2
    w.forget()
    s.sh("curl -sS https://api.creds.test/bearer; sleep 3; curl -sS https://api.creds.test/bearer", "--quiet", *w.options(),
         env={"ONE": CLIENT_SECRET})
    check("tokens: one that has expired is got anew", len(w.of("id.creds.test")) == 2 and
          len({row["headers"]["authorization"] for row in w.of("api.creds.test")}) == 2, w.asked)
    w.provider.life = 3600
    w.forget()
    s.start(["sh", "-c", "curl -sS https://api.creds.test/bearer; sleep 1; curl -sS https://api.creds.test/bearer; "
             "curl -sS https://api.creds.test/bearer"], "--quiet", *w.options(), env={"ONE": CLIENT_SECRET},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 20
    while not w.of("api.creds.test") and time.time() < deadline:
        time.sleep(0.05)
    w.provider.access.clear()
    while len(w.of("api.creds.test")) < 3 and time.time() < deadline:
        time.sleep(0.1)
    check("tokens: an upstream's 401 makes for another one", len(w.of("id.creds.test")) == 2, w.asked)

    w.forget()
    s.set_policy(token_policy(f"grant: client_credentials, {ID}, client_id: svc, scope: read write"))
    ask = "curl -sS -o /dev/null -w '%{http_code} ' https://api.creds.test/bearer; "
    run = s.start(["sh", "-c", ask + "touch asked; while [ ! -e go ]; do sleep 0.1; done; " + ask], "--quiet", *w.options(),
                  env={"ONE": CLIENT_SECRET}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    wait_for(lambda: (s.workspace / "asked").exists(), 20)
    s.set_policy(token_policy(f"grant: client_credentials, {ID}, client_id: svc, scope: read"))
    wait_for(lambda: s.records("reload"), 20)
    (s.workspace / "go").touch()
    out = run.communicate(timeout=60)[0]
    scopes = [row["form"]["scope"] for row in w.of("id.creds.test")]
    check("tokens: a policy that asks for less gets another one", out == "200 200 " and scopes == ["read write", "read"], (out, scopes))

    s.set_policy(token_policy(f'grant: token_exchange, {ID}, actor_token: {{environment: ACTOR}}'))
    r = s.sh(curl("https://api.creds.test/bearer"), "--quiet", *w.options(),
             env={"ONE": "subject-token-0123456789", "ACTOR": "actor-token-0123456789"})
    check("tokens: exchange, with an actor", r.stdout == "200 ", (said(r), w.asked[-2:]))


def refresh(s, w):
    file = s.root / "refresh"
    first = w.provider.login("file")
    file.write_text(first + "\n")
    os.chmod(file, 0o600)
    s.set_policy(token_policy(f"grant: refresh_token, {ID}, client_id: svc", f"{{file: {file}}}"))
    w.provider.delay = 0.3
    both = [s.start(["sh", "-c", curl("https://api.creds.test/bearer")], "--quiet", *w.options(), stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True) for _ in range(2)]
    out = [p.communicate(timeout=60) for p in both]
    w.provider.delay = 0
    check("refresh: two sandboxes with one token, and no theft", [o[0] for o in out] == ["200 ", "200 "] and w.provider.thefts == 0, out)
    now = file.read_text().strip()
    check("refresh: the file has the token that is good now", now != first and w.provider.refresh.get(now) == "file" and
          oct(file.stat().st_mode & 0o777) == "0o600", now)
    r = s.sh(curl("https://api.creds.test/bearer"), "--quiet", *w.options())
    check("refresh: and the next run goes on from it", r.stdout == "200 " and w.provider.thefts == 0, said(r))


def signed(s, w):
    key, public = s.root / "app.pem", str(w.pki / "app.pub")
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    w.keys.update({"12345": public, "robot@project.test": public, "issuer": public})
    s.set_policy(policy(rule("api.github.com", "gh"), f"""\
  gh:
    source: {{file: {key}}}
    hosts: [api.github.com]
    strategy: token
    token: {{grant: github_app, app_id: 12345, installation_id: 678, addresses: [127.0.0.0/8]}}
    placeholder: {{environment: GITHUB_TOKEN, prefix: ghs_}}
"""))
    w.forget()
    r = s.sh(curl("https://api.github.com/bearer") + "curl -sS -X POST https://api.github.com/app/installations/678/access_tokens",
             "--quiet", *w.options())
    check("GitHub App: an installation's token", r.stdout.startswith("200 ") and w.asked[0]["target"] == "/app/installations/678/access_tokens"
          and w.asked[0]["claims"], (said(r), w.asked))
    check("GitHub App: the agent gets a placeholder for one", '"token":"ghs_' in r.stdout and len(w.asked) == 2, (said(r), w.asked))

    account = s.root / "account.json"
    account.write_text(json.dumps({"type": "service_account", "client_email": "robot@project.test", "private_key_id": "k1",
                                   "private_key": key.read_text(), "token_uri": "https://oauth2.googleapis.com/token",
                                   "project_id": "p"}))
    os.chmod(account, 0o600)
    s.set_policy(policy(rule("api.creds.test", "gcp"), f"""\
  gcp:
    source: {{file: {account}}}
    hosts: [api.creds.test]
    strategy: token
    token: {{grant: jwt_bearer, scope: "https://www.googleapis.com/auth/cloud-platform", addresses: [127.0.0.0/8]}}
"""))
    w.forget()
    r = s.sh(curl("https://api.creds.test/bearer"), "--quiet", *w.options())
    check("GCP: a service account's token", r.stdout == "200 " and len(w.of("oauth2.googleapis.com")) == 1, (said(r), w.asked))


def certificates(s, w):
    pem = s.root / "client.pem"
    pem.write_text((w.pki / "client-both.pem").read_text())
    os.chmod(pem, 0o600)
    s.set_policy(policy(rule("mtls.creds.test", "c"), f"""\
  c:
    source: {{file: {pem}}}
    hosts: [mtls.creds.test]
    strategy: certificate
"""))
    w.forget()
    r = s.sh(curl("https://mtls.creds.test/") * 2, "--quiet", *w.options())
    check("certificates: the upstream takes ours", r.stdout == "200 200 ", (said(r), w.asked))
    w.forget()
    step = "curl -sS -o /dev/null https://mtls.creds.test/; touch $n; while [ ! -e go$n ]; do sleep 0.05; done; "
    p = s.start(["sh", "-c", f"for n in 1 2 3; do {step} done"], "--quiet", *w.options(), stdin=subprocess.DEVNULL)
    for n in (1, 2, 3):
        wait_for(lambda: (s.workspace / str(n)).exists(), 60)
        if n == 2:
            (s.root / "new.pem").write_text((w.pki / "renewed-both.pem").read_text())
            os.chmod(s.root / "new.pem", 0o600)
            os.rename(s.root / "new.pem", pem)
        (s.workspace / f"go{n}").touch()
    p.wait(60)
    clients, ports = [row["client"] for row in w.asked], [row["port"] for row in w.asked]
    check("certificates: a renewed one counts from the next request", clients == ["agent-client"] * 2 + ["agent-renewed"], clients)
    check("certificates: one that is the same keeps its connection", ports[0] == ports[1] != ports[2], ports)
    pem.write_text("nothing")
    r = s.sh("curl -sS https://mtls.creds.test/", "--quiet", *w.options())
    check("certificates: without one, words", "certificate" in r.stdout and "CREDENTIAL" in r.stdout, said(r))


def main():
    with tempfile.TemporaryDirectory(prefix="paddock-pki-") as d, sandbox("credentials") as s:
        w = Services(d)
        for part in (placeholders, own, beside, aws, download, chunks, tokens, refresh, signed, certificates):
            part(s, w)
    finish()


main()
