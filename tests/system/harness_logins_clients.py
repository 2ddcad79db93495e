"""Claude Code and Codex themselves with a person's login and no API key: each starts with a file of placeholders, asks the model
with the real token, which the courier has just refreshed, and the host's file is what it should be.    needs: clients"""
import json
import os
import pathlib
import tempfile
import time

import clients
from credentials import Services, jwt
from paddock import check, finish, sandbox, world

POLICY = """\
version: 1
network:
  - name: agent
    hosts: [{hosts}]
    methods: [GET, HEAD, POST]
    credential: login
    request_body_max: 64MiB
    addresses: [127.0.0.0/8]
credentials:
  login:
    source: {{file: {file}}}
    strategy: login
    login: {login}
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
    s.set_policy(POLICY.format(file=file, login="claude", hosts="api.anthropic.com, console.anthropic.com, platform.claude.com"))
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


def codex(s, w, services, life):
    token, provider = s.world.info["tokens"]["chatgpt"], services.provider
    file = s.root / "home" / "auth.json"
    file.parent.mkdir(exist_ok=True)
    old, refresh = jwt({"exp": int(time.time() + life), "n": life}), provider.login("codex", "rt_")
    person = {"email": "ann@example.test", "https://api.openai.com/auth": {"chatgpt_plan_type": "pro", "chatgpt_account_id": "account-1"}}
    file.write_text(json.dumps({"OPENAI_API_KEY": None, "tokens": {
        "id_token": jwt(person), "access_token": token if life > 0 else old, "refresh_token": refresh, "account_id": "account-1"},
        "last_refresh": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}))
    os.chmod(file, 0o600)
    services.forget()
    w.forget()
    s.set_policy(POLICY.format(file=file, login="codex", hosts="chatgpt.com, auth.openai.com"))
    shell = json.dumps({"cmd": "echo straw > made-by-codex; cat ~/.codex/auth.json"})
    r = clients.timed("codex with a login", s, [clients.tool_of("codex"), "exec", "--skip-git-repo-check",
                      "--dangerously-bypass-approvals-and-sandbox", "-m", "gpt-5", f"work @@tool exec_command {shell}@@"],
                      "--quiet", *services.options_for("auth.openai.com"))
    asked = [q for q in w.requests(method="POST", host="chatgpt.com") if q["url"].endswith("/responses")]
    what = "good" if life > 0 else "expired"
    check(f"codex, login {what}: the task ends well", r.returncode == 0 and "tool said:" in r.stdout, (r.returncode, r.stdout, r.stderr[-2000:]))
    check(f"codex, login {what}: the model is asked with the real token, for the person's account", len(asked) >= 2 and
          all(q["headers"].get("authorization") == f"Bearer {token}" and q["headers"].get("chatgpt-account-id") == "account-1"
              for q in asked), [q["headers"] for q in w.requests()])
    check(f"codex, login {what}: the agent sees placeholders", '"refresh_token"' in r.stdout and token not in r.stdout and
          refresh not in r.stdout and old not in r.stdout, r.stdout)
    now = json.loads(file.read_text())["tokens"]
    asked = [q for q in services.asked if q["target"] == "/oauth/token"]
    check(f"codex, login {what}: refreshed as often as it must be", len(asked) == (0 if life > 0 else 1) and provider.thefts == 0 and
          (now["refresh_token"] == refresh) == (life > 0) and now["access_token"] == token, (len(asked), now))
    check(f"codex, login {what}: it speaks HTTP/2 to the gate", clients.spoken(s, "chatgpt.com")[0] == {"h2"}, clients.spoken(s, "chatgpt.com"))


def issue_that(services, token):
    """What a refresh of Codex's gives is the token that the model's stand-in takes."""
    answer = services.codex

    def codex(row):
        status, body = answer(row)
        return status, {**body, "access_token": token} if status == 200 else body
    services.codex = codex


def main():
    with tempfile.TemporaryDirectory(prefix="paddock-pki-") as d, world(clients.NODE_24) as w, sandbox("logins", w) as s:
        services = Services(d)
        both = pathlib.Path(d) / "both.pem"
        both.write_text(pathlib.Path(w.info["ca"]).read_text() + (services.pki / "ca.pem").read_text())
        w.info["ca"] = str(both)
        for host in ("platform.claude.com", "console.anthropic.com"):
            w.info["hosts"].pop(host, None)
        claude(s, w, services, 8 * 3600)
        claude(s, w, services, -60)
        issue_that(services, w.info["tokens"]["chatgpt"])
        codex(s, w, services, 8 * 3600)
        codex(s, w, services, -60)
    finish()


main()
