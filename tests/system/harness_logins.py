"""Agents' own logins (Claude Code, Codex): the guest has placeholders, the courier the real tokens; who refreshes writes the
host's file, one at a time, and a provider that takes a token that is used twice for theft sees none."""
import json
import os
import subprocess
import tempfile
import time

from credentials import Services, jwt
from paddock import check, finish, sandbox, wait_for

RULES = """\
version: 1
network:
  - name: login
    hosts: [{hosts}]
    methods: ["*"]
    credential: login
    addresses: [127.0.0.0/8]
credentials:
  login:
    source: {{file: {file}}}
    strategy: login
    login: {login}
"""


def said(r):
    return r.returncode, r.stdout[-1500:], r.stderr[-2500:]


class Login:
    """A file like that of one agent, as a user has it."""
    def __init__(self, s, w):
        self.file = s.root / self.name / self.guest.rsplit("/", 1)[1]
        self.file.parent.mkdir(exist_ok=True)
        self.w = w

    def save(self, content, **how):
        self.file.write_text(json.dumps(content, **how))
        os.chmod(self.file, 0o600)

    def content(self):
        return json.loads(self.file.read_text())


class Claude(Login):
    name, guest = "claude", "~/.claude/.credentials.json"
    hosts, api = "api.anthropic.com, console.anthropic.com, platform.claude.com", "api.anthropic.com"
    endpoint = "https://platform.claude.com/v1/oauth/token"
    read = "t=$(sed 's/.*\"accessToken\": *\"//; s/\".*//' ~/.claude/.credentials.json); "

    def write(self, life):
        access, refresh = self.w.provider.issue("claude", "sk-ant-oat01-"), self.w.provider.login("claude", "sk-ant-ort01-")
        self.save({"mcpOAuth": {"other": 1}, "claudeAiOauth": {
            "accessToken": access, "refreshToken": refresh, "expiresAt": int((time.time() + life) * 1000),
            "scopes": ["user:inference", "user:profile"], "subscriptionType": "max"}})
        return access, refresh

    def now(self):
        o = self.content()["claudeAiOauth"]
        return o["accessToken"], o["refreshToken"]

    def rest(self):
        o = self.content()
        return o["mcpOAuth"] == {"other": 1} and o["claudeAiOauth"]["subscriptionType"] == "max"


class Codex(Login):
    name, guest = "codex", "~/.codex/auth.json"
    hosts, api = "chatgpt.com, auth.openai.com", "chatgpt.com"
    endpoint = "https://auth.openai.com/oauth/token"
    read = "t=$(sed -n 's/.*\"access_token\": *\"\\([^\"]*\\)\".*/\\1/p' ~/.codex/auth.json); "

    def write(self, life):
        access = jwt({"exp": int(time.time() + life), "n": time.time()})
        self.w.provider.access[access] = ("codex", time.time() + life)
        refresh = self.w.provider.login("codex", "rt_")
        self.save({"OPENAI_API_KEY": None, "tokens": {
            "id_token": jwt({"email": "ann@example.test"}), "access_token": access, "refresh_token": refresh,
            "account_id": "account-1"}, "last_refresh": "2026-01-01T00:00:00Z"}, indent=2)
        return access, refresh

    def now(self):
        o = self.content()["tokens"]
        return o["access_token"], o["refresh_token"]

    def rest(self):
        o = self.content()
        return o["tokens"]["account_id"] == "account-1" and o["OPENAI_API_KEY"] is None


def login(s, w, kind):
    a, p, n = kind(s, w), w.provider, kind.name
    s.set_policy(RULES.format(hosts=a.hosts, file=a.file, login=n))
    ask = f"curl -sS -o /dev/null -w '%{{http_code}} ' --max-time 30 https://{a.api}/bearer -H \"authorization: Bearer $t\"; "

    def forget():
        w.forget()
        p.dead.clear()
        p.thefts = 0

    forget()
    access, refresh = a.write(3600 * 8)
    r = s.sh(f"cat {a.guest}; {a.read}{ask}", "--quiet", *w.options())
    check(f"{n}: the agent's requests go with the real token", r.stdout.endswith("200 ") and
          w.of(a.api)[0]["headers"]["authorization"] == f"Bearer {access}" and len(w.asked) == 1, (said(r), w.asked))
    check(f"{n}: the guest's file has other ones", access not in r.stdout and refresh not in r.stdout, said(r))
    check(f"{n}: a login that is good is left alone", a.now() == (access, refresh))

    forget()
    access, refresh = a.write(-60)
    r = s.sh(f"{a.read}{ask * 3}", "--quiet", *w.options())
    now = a.now()
    check(f"{n}: one that has expired is refreshed, once", r.stdout == "200 200 200 " and len(w.asked) == 4, (said(r), w.asked))
    check(f"{n}: and the host's file has what came of it", now[0] != access and p.refresh.get(now[1]) == n and a.rest() and
          oct(a.file.stat().st_mode & 0o777) == "0o600", (now, os.listdir(a.file.parent)))
    check(f"{n}: Claude Code finds none of its locks held", not [f for f in os.listdir(a.file.parent) if f in (".oauth_refresh.lock", ".storage-write.lock")])
    rows = [i for i in s.records("intent") if i.get("purpose") == "token"]
    check(f"{n}: on record", len(rows) == 1 and rows[0]["credential"] == "login", rows)

    forget()
    a.write(120)
    r = s.sh(f"{a.read}{ask}sleep 1; {ask}", "--quiet", *w.options())
    sent = [row["headers"]["authorization"] for row in w.of(a.api)]
    check(f"{n}: one that is due is refreshed, and nobody waits for it", r.stdout == "200 200 " and len(set(sent)) == 2 and
          sent[1] == f"Bearer {a.now()[0]}", (said(r), sent))

    forget()
    a.write(-60)
    p.delay = 0.7
    both = [s.start(["sh", "-c", f"{a.read}{ask}"], "--quiet", *w.options(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True) for _ in range(3)]
    out = [b.communicate(timeout=90) for b in both]
    p.delay = 0
    asked = [row for row in w.asked if row["target"].endswith("/oauth/token")]
    check(f"{n}: three sandboxes at once, and one refresh", [o[0] for o in out] == ["200 "] * 3 and p.thefts == 0 and len(asked) == 1,
          (out, len(asked), p.thefts))
    check(f"{n}: the agent outside is still logged in", p.use_refresh(a.now()[1])[0] == 200)

    forget()
    a.write(3600 * 8)
    body = "-H 'content-type: application/json' -d '{\"grant_type\":\"refresh_token\",\"refresh_token\":\"x\"}'"
    r = s.sh(f"curl -sS {a.endpoint} {body}", "--quiet", *w.options())
    answer = json.loads(r.stdout) if r.stdout.startswith("{") else {}
    check(f"{n}: the agent's own refresh is answered here, with placeholders", set(answer) >= {"access_token", "refresh_token", "expires_in"}
          and not w.asked and answer["access_token"] not in p.access, (said(r), w.asked))

    forget()
    access, _ = a.write(3600 * 8)
    p.access[access] = (None, 0)
    r = s.sh(f"{a.read}{ask}sleep 1; {ask}", "--quiet", *w.options())
    check(f"{n}: one that the provider refuses is refreshed before its time", r.stdout == "401 200 " and a.now()[0] != access, (said(r), w.asked))

    forget()
    a.write(-60)
    p.refresh.clear()
    r = s.sh(f"{a.read}curl -sS https://{a.api}/bearer -H \"authorization: Bearer $t\"", "--quiet", *w.options())
    check(f"{n}: a login that is over is told in words", "the token endpoint answered 400 invalid_grant" in r.stdout, said(r))

    forget()
    a.write(3600 * 8)
    r = s.sh(f"curl -sS https://{a.api}/bearer -H 'authorization: Bearer sk-ant-oat01-somebody-elses-token'", "--quiet", *w.options())
    check(f"{n}: another's token is refused", "CREDENTIAL_FOREIGN" in r.stdout and not w.asked, said(r))


def beside(s, w):
    """Claude Code outside is at it: its lock is respected, and what it wrote is used."""
    a, p = Claude(s, w), w.provider
    w.forget()
    p.dead.clear()
    s.set_policy(RULES.format(hosts=a.hosts, file=a.file, login="claude"))
    _, refresh = a.write(-60)
    lock = a.file.parent / ".oauth_refresh.lock"
    lock.mkdir()
    ask = f"curl -sS -o /dev/null -w '%{{http_code}} ' --max-time 30 https://{a.api}/bearer -H \"authorization: Bearer $t\"; "
    run = s.start(["sh", "-c", f"touch $PWD/there; {a.read}{ask}"], "--quiet", *w.options(), stdout=subprocess.PIPE, text=True)
    wait_for(lambda: (s.workspace / "there").exists(), 20)
    time.sleep(1)
    quiet = not w.asked
    status, answer = p.use_refresh(refresh, ("sk-ant-oat01-", "sk-ant-ort01-"))
    o = a.content()
    o["claudeAiOauth"].update(accessToken=answer["access_token"], refreshToken=answer["refresh_token"],
                              expiresAt=int((time.time() + 3600) * 1000))
    a.file.write_text(json.dumps(o))
    lock.rmdir()
    out = run.communicate(timeout=60)[0]
    check("claude: while the agent outside refreshes, the sandbox waits, and uses what came of it",
          quiet and out == "200 " and p.thefts == 0 and len(w.asked) == 1 and
          w.asked[0]["headers"]["authorization"] == f"Bearer {answer['access_token']}", (quiet, out, w.asked))


def main():
    with tempfile.TemporaryDirectory(prefix="paddock-pki-") as d, sandbox("logins") as s:
        w = Services(d)
        login(s, w, Claude)
        login(s, w, Codex)
        beside(s, w)
    finish()


main()
