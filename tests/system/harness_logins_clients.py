"""Claude Code itself with a person's login and no API key: it starts with a file of placeholders, asks the model with the real
token, which the courier has just refreshed, and the host's file is what it should be.    needs: clients"""
import json
import os
import pathlib
import tempfile
import time

import clients
from credentials import Services
from paddock import check, finish, sandbox, world

POLICY = """\
version: 1
network:
  - name: claude
    hosts: [api.anthropic.com, console.anthropic.com, platform.claude.com]
    methods: [GET, HEAD, POST]
    credential: login
    request_body_max: 64MiB
    addresses: [127.0.0.0/8]
credentials:
  login:
    source: {{file: {file}}}
    strategy: login
    login: claude
"""


def claude(s, w, services, life):
    token, provider = s.world.info["tokens"]["anthropic"], services.provider
    file = s.root / "home" / ".credentials.json"
    file.parent.mkdir(exist_ok=True)
    old, refresh = provider.issue("ann", "sk-ant-oat01-"), provider.login("ann", "sk-ant-ort01-")
    file.write_text(json.dumps({"claudeAiOauth": {
        "accessToken": token if life > 0 else old, "refreshToken": refresh, "expiresAt": int((time.time() + life) * 1000),
        "scopes": ["user:inference", "user:profile", "user:sessions:claude_code"], "subscriptionType": "max"}}))
    os.chmod(file, 0o600)
    provider.issue = lambda family, prefix: token
    services.forget()
    w.forget()
    s.set_policy(POLICY.format(file=file))
    shell = json.dumps({"command": "echo straw > made-by-claude; cat ~/.claude/.credentials.json"})
    r = clients.timed("claude with a login", s, [clients.tool_of("claude"), "-p", f"work @@tool Bash {shell}@@",
                      "--dangerously-skip-permissions"], "--env", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "--quiet",
                      *services.options_for("platform.claude.com", "console.anthropic.com"))
    asked = w.requests(method="POST", url="/v1/messages?beta=true")
    what = "good" if life > 0 else "expired"
    check(f"claude, login {what}: the task ends well", r.returncode == 0 and "tool said:" in r.stdout, (r.returncode, r.stdout, r.stderr[-2000:]))
    check(f"claude, login {what}: the model is asked with the real token", len(asked) >= 2 and
          all(q["headers"].get("authorization") == f"Bearer {token}" for q in asked), [q["headers"] for q in asked])
    check(f"claude, login {what}: the agent sees placeholders", "sk-ant-o" in r.stdout and token not in r.stdout and
          refresh not in r.stdout and old not in r.stdout, r.stdout)
    now = json.loads(file.read_text())["claudeAiOauth"]
    asked = [q for q in services.asked if q["target"] == "/v1/oauth/token"]
    check(f"claude, login {what}: refreshed as often as it must be", len(asked) == (0 if life > 0 else 1) and provider.thefts == 0 and
          (now["refreshToken"] == refresh) == (life > 0) and now["accessToken"] == token, (len(asked), now))
    del provider.issue
    (s.workspace / "made-by-claude").unlink(missing_ok=True)


def main():
    with tempfile.TemporaryDirectory(prefix="paddock-pki-") as d, world() as w, sandbox("logins", w) as s:
        services = Services(d)
        both = pathlib.Path(d) / "both.pem"
        both.write_text(pathlib.Path(w.info["ca"]).read_text() + (services.pki / "ca.pem").read_text())
        w.info["ca"] = str(both)
        for host in ("platform.claude.com", "console.anthropic.com"):
            w.info["hosts"].pop(host, None)
        claude(s, w, services, 8 * 3600)
        claude(s, w, services, -60)
    finish()


main()
