"""Credentials: a file's secret rotates, a slow source holds up nobody, the sealed store, files that tools insist on."""
import json
import os
import subprocess
import time

from paddock import check, finish, sandbox, wait_for, world

HOST = "api.example.test"


def policy(credentials, rules):
    """Rules are (path, credential)."""
    lines = ["version: 1", "network:"]
    for path, name in rules:
        lines.append(f"  - {{hosts: [{HOST}], methods: [GET], paths: [{path}], credential: {name}, "
                     "addresses: [127.0.0.0/8]}")
    lines.append("credentials:")
    for name, body in credentials.items():
        lines += [f"  {name}:", f"    hosts: [{HOST}]"] + [f"    {line}" for line in body]
    return "\n".join(lines) + "\n"


HEADER = 'header: {name: authorization, format: "Bearer {secret}"}'
STATUS = "curl -s -o /dev/null -w '%{http_code} %{time_total}\\n' https://" + HOST


def rotation(w):
    good, bad = w.info["tokens"]["api"], "not-the-token-0123456789"
    w.forget()
    with sandbox("rotation", w) as s:
        secret = s.root / "token"
        secret.write_text(bad + "\n")
        secret.chmod(0o600)
        s.set_policy(policy({"api": [f"source: {{file: {secret}}}", HEADER]}, [("/items", "api")]))
        step = f"{STATUS}/items > $n.tmp; mv $n.tmp $n"
        p = s.start(["sh", "-c", f"for n in 1 2 3 4; do {step}; while [ ! -e go$n ]; do sleep 0.05; done; done"],
                    "--quiet", stdin=subprocess.DEVNULL)

        def nth(n):
            wait_for(lambda: (s.workspace / str(n)).exists(), 60)
            return (s.workspace / str(n)).read_text().split()[0]

        def go(n, text, replace):
            if replace:
                (s.root / "new").write_text(text + "\n")
                (s.root / "new").chmod(0o600)
                os.rename(s.root / "new", secret)
            else:
                secret.write_text(text + "\n")
            (s.workspace / f"go{n}").touch()

        check("the secret of a file is sent as it is", nth(1) == "401", nth(1))
        go(1, good, replace=True)
        check("a file that was replaced counts from the next request", nth(2) == "200", nth(2))
        go(2, bad, replace=False)
        check("and one that was written in place", nth(3) == "401", nth(3))
        go(3, good, replace=True)
        check("and once more", nth(4) == "200", nth(4))
        (s.workspace / "go4").touch()
        p.wait(60)
        check("four requests arrived", len(w.requests(url="/items")) == 4, w.requests())


def slow_source(w):
    token = w.info["tokens"]["api"]
    with sandbox("slow", w) as s:
        s.set_policy(policy({
            "fast": ["source: {environment: API_TOKEN}", HEADER],
            "slow": [f'source: {{command: [sh, -c, "sleep 5; echo {token}"], timeout: 20s}}', HEADER],
        }, [("/slow", "slow"), ("/items", "fast")]))
        script = (f"{STATUS}/slow > slow & for i in 1 2 3 4 5; do {STATUS}/items; done > fast; wait; cat fast slow; "
                  f"{STATUS}/slow")
        r = s.sh(script, "--quiet", env={"API_TOKEN": token})
        rows = [line.split() for line in r.stdout.splitlines()]
        check("all are answered", [row[0] for row in rows] == ["200"] * 7, r.stdout + r.stderr)
        if len(rows) == 7:
            check("nobody waits for another's command", all(float(row[1]) < 3 for row in rows[:5]), rows)
            check("who needs it does", float(rows[5][1]) > 4.5, rows)
            check("once", float(rows[6][1]) < 3.5, rows)


def failing_source(w):
    with sandbox("failing", w) as s:
        s.set_policy(policy({"api": ["source: {command: [false]}", HEADER]}, [("/items", "api")]))
        w.forget()
        r = s.sh(f"curl -s https://{HOST}/items; {STATUS}/items", "--quiet")
        check("a source that fails is said in words", "CREDENTIAL" in r.stdout or "credential" in r.stdout, r.stdout)
        check("and sends nothing", r.stdout.split()[-2] == "503" and not w.requests(), (r.stdout, w.requests()))


def sealed(w):
    token = w.info["tokens"]["api"]
    with sandbox("sealed", w) as s:
        s.env["XDG_CONFIG_HOME"] = str(s.root / "config")
        s.set_policy(policy({"api": ["source: {sealed: api-key}", HEADER]}, [("/items", "api")]))
        r = s.sh("true")
        check("an entry that is not there is said before the start",
              r.returncode == 125 and "paddock credential seal api-key" in r.stderr, r.stderr)
        r = s.paddock("credential", "seal", "api-key", input=token + "\n")
        check("a value is sealed from standard input", r.returncode == 0 and token not in r.stdout + r.stderr, r.stderr)
        store = s.root / "config" / "paddock"
        key, entry = store / "seal.key", store / "sealed" / "api-key"
        check("the key's file is for its owner alone", key.stat().st_mode & 0o777 == 0o600, oct(key.stat().st_mode))
        check("the value is in no file", not any(token.encode() in f.read_bytes() for f in store.rglob("*")
                                                 if f.is_file()))
        r = s.paddock("credential", "seal", "api-key", token)
        check("never from an argument", r.returncode == 2, r.stderr)
        r = s.sh(f"{STATUS}/items", "--quiet")
        check("the keeper opens it", r.stdout.startswith("200"), r.stdout + r.stderr)

        before = entry.read_text()
        r = s.paddock("credential", "rotate-key")
        check("a new key seals everything again", r.returncode == 0 and entry.read_text() != before, r.stderr)
        r = s.sh(f"{STATUS}/items", "--quiet")
        check("which opens", r.stdout.startswith("200"), r.stdout + r.stderr)
        rows = json.loads(s.paddock("credential", "list", "--json").stdout)
        check("list says so", [(x["name"], x["opens"]) for x in rows] == [("api-key", True)], rows)

        good = entry.read_text()
        entry.write_text(before)
        r = s.sh(f"{STATUS}/items", "--quiet")
        check("what an old key sealed does not open", r.stdout.startswith("503"), r.stdout + r.stderr)
        flipped = good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:]
        entry.write_text(flipped)
        r = s.sh(f"{STATUS}/items", "--quiet")
        check("nor what was changed", r.stdout.startswith("503") and "changed" in r.stderr, r.stdout + r.stderr)
        (store / "sealed" / "other").write_text(good)
        s.set_policy(policy({"api": ["source: {sealed: other}", HEADER]}, [("/items", "api")]))
        r = s.sh(f"{STATUS}/items", "--quiet")
        check("nor an entry under another's name", r.stdout.startswith("503"), r.stdout + r.stderr)
        key.chmod(0o644)
        r = s.sh("true")
        check("a key that others can read is refused", r.returncode == 125 and "seal.key" in r.stderr, r.stderr)
        r = s.paddock("credential", "list")
        check("by list too", r.returncode == 1, r.stderr)
        key.chmod(0o600)
        r = s.paddock("credential", "remove", "other")
        check("an entry is removed", r.returncode == 0 and not (store / "sealed" / "other").exists(), r.stderr)


FILES = """\
version: 1
network:
  - {hosts: [s3.example.test], methods: [GET], credential: aws}
  - {hosts: [ghcr.example.test, api.github.com], methods: [GET], credential: token}
  - {hosts: [k8s.example.test], methods: [GET], credential: cluster}
  - {hosts: [storage.example.test], methods: [GET], credential: account}
  - {hosts: [api.anthropic.com], methods: [POST], credential: claude}
  - {hosts: [chatgpt.com], methods: [POST], credential: codex}
credentials:
  aws:
    source: {environment: AWS}
    hosts: [s3.example.test]
    strategy: sigv4
    sigv4: {services: [s3], regions: [eu-west-1]}
    placeholder: {files: [{kind: aws}]}
  token:
    source: {environment: TOKEN}
    hosts: [ghcr.example.test, api.github.com]
    placeholder:
      environment: TOKEN
      prefix: tok_
      files: [{kind: netrc, user: ann}, {kind: gh, user: ann}, {kind: npmrc}, {kind: docker, user: ann}]
    header: {name: authorization, format: "Bearer {secret}"}
  cluster:
    source: {environment: TOKEN}
    hosts: [k8s.example.test]
    placeholder: {files: [{kind: kubeconfig}]}
    header: {name: authorization, format: "Bearer {secret}"}
  account:
    source: {file: "%(root)s/account.json"}
    hosts: [storage.example.test]
    strategy: token
    token: {grant: jwt_bearer, scope: x}
    placeholder: {files: [{kind: service_account, path: ~/account.json}]}
  claude:
    source: {file: "%(root)s/claude.json"}
    strategy: login
    login: claude
  codex:
    source: {file: "%(root)s/codex.json"}
    strategy: login
    login: codex
"""

# what the tools themselves make of them, as one JSON object
READ = r"""
import base64, configparser, json, netrc, os, stat, subprocess
home = os.path.expanduser("~")
def text(path): return open(os.path.join(home, path)).read()
def run(*argv): return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
out = {"token": os.environ["TOKEN"]}
out["netrc"] = netrc.netrc(os.path.join(home, ".netrc")).authenticators("ghcr.example.test")
out["gh"] = text(".config/gh/hosts.yml")
out["docker"] = {k: base64.b64decode(v["auth"]).decode() for k, v in json.loads(text(".docker/config.json"))["auths"].items()}
out["kube"] = text(".kube/config")
out["claude"] = json.loads(text(".claude/.credentials.json"))
out["codex"] = json.loads(text(".codex/auth.json"))
out["account"] = json.loads(text("account.json"))
open("key.pem", "w").write(out["account"]["private_key"])
out["signs"] = run("openssl", "dgst", "-sha256", "-sign", "key.pem", "-out", "/dev/null", "/etc/hosts")
out["aws"] = run("aws", "configure", "list")
out["npm"] = run("npm", "config", "get", "//ghcr.example.test/:_authToken", "--userconfig", os.path.join(home, ".npmrc"))
out["npmrc"] = text(".npmrc")
out["modes"] = [oct(stat.S_IMODE(os.stat(os.path.join(home, f)).st_mode)) for f in
                (".netrc", ".aws/credentials", ".claude/.credentials.json")]
open("out.json", "w").write(json.dumps(out))
"""


def jwt_of(claims):
    import base64
    part = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
    return f"{part(b'{}')}.{part(json.dumps(claims).encode())}.{part(b'real-signature-0123456789')}"


def rendered():
    with sandbox("rendered") as s:
        key = subprocess.run(["openssl", "genrsa", "2048"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        real = {"account.json": {"type": "service_account", "project_id": "p-1", "private_key_id": "kid",
                                 "private_key": key.stdout, "client_email": "me@p-1.iam.gserviceaccount.com",
                                 "token_uri": "https://oauth2.googleapis.com/token"},
                "claude.json": {"claudeAiOauth": {"accessToken": "sk-ant-oat01-real", "refreshToken": "sk-ant-ort01-real",
                                                  "expiresAt": 1, "scopes": ["user:inference", "user:profile"],
                                                  "subscriptionType": "max"}},
                "codex.json": {"OPENAI_API_KEY": None, "tokens": {
                    "id_token": jwt_of({"email": "ann@example.test"}), "access_token": jwt_of({"exp": 1}),
                    "refresh_token": "rt_real", "account_id": "acc-1"}, "last_refresh": "2026-01-01T00:00:00Z"}}
        for name, body in real.items():
            (s.root / name).write_text(json.dumps(body))
            (s.root / name).chmod(0o600)
        s.set_policy(FILES % {"root": s.root})
        (s.workspace / "read.py").write_text(READ)
        environment = {"AWS": "AKIAREALREALREALREAL:real-secret-key-0123456789", "TOKEN": "real-token-0123456789"}
        r = s.run(["python3", "read.py"], "--quiet", env=environment)
        check("every file is there and parses", r.returncode == 0, r.stdout + r.stderr)
        if r.returncode:
            return
        text = (s.workspace / "out.json").read_text()
        out = json.loads(text)
        secrets = ["AKIAREAL", "real-secret", "real-token", "oat01-real", "ort01-real", "rt_real",
                   "cmVhbC1zaWduYXR1cmU", key.stdout.splitlines()[3]]
        check("no secret is in any", not [x for x in secrets if x in text], [x for x in secrets if x in text])
        token = out["token"]
        check("netrc", out["netrc"] == ["ann", "", token] or out["netrc"] == ["ann", None, token], out["netrc"])
        check("gh", f'github.com:\n    oauth_token: "{token}"\n    user: "ann"' in out["gh"], out["gh"])
        check("docker", out["docker"].get("ghcr.example.test") == f"ann:{token}", out["docker"])
        check("npm", token in out["npm"] or "protected" in out["npm"], out["npm"])
        check("npmrc", f"//ghcr.example.test/:_authToken={token}" in out["npmrc"], out["npmrc"])
        check("kubeconfig", 'server: "https://k8s.example.test"' in out["kube"], out["kube"])
        check("aws reads key and region", "shared-credentials-file" in out["aws"] and "eu-west-1" in out["aws"], out["aws"])
        login = out["claude"]["claudeAiOauth"]
        check("Claude Code's scopes and plan are the real ones",
              login["scopes"] == ["user:inference", "user:profile"] and login["subscriptionType"] == "max", login)
        check("its token is good for a while", login["expiresAt"] > (time.time() + 86400) * 1000, login)
        tokens = out["codex"]["tokens"]
        check("Codex's ID token has the claims of the real one",
              tokens["id_token"].split(".")[1] == real["codex.json"]["tokens"]["id_token"].split(".")[1], tokens)
        check("and its account", tokens["account_id"] == "acc-1", tokens)
        account = out["account"]
        check("the service account is the real one by name",
              account["client_email"] == "me@p-1.iam.gserviceaccount.com" and account["project_id"] == "p-1", account)
        check("with a key that signs", out["signs"] == "", out["signs"])
        check("all for their owner alone", set(out["modes"]) == {"0o600"}, out["modes"])

        # a file of the user's own is never replaced by one of ours
        own = s.workspace / ".netrc"
        own.write_text("machine mine\n")
        r = s.run(["true"], "--env", f"HOME={s.workspace}", env=environment)
        check("none lies where the sandbox shows the user's own",
              r.returncode == 125 and "replace your own" in r.stderr and own.read_text() == "machine mine\n", r.stderr)


with world() as w:
    rotation(w)
    slow_source(w)
    failing_source(w)
    sealed(w)
rendered()
finish()
