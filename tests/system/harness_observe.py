"""Rules that observe git and registries: a dry run. What they would deny passes, and the trail and `policy explain` say what it is.

Such a rule opens no private address: this runs in a network namespace of its own, whose loopback has a public one.
"""
import os
import sys
import tempfile

from paddock import check, finish, sandbox
from registries import HOSTS, Registries

PUBLIC = "93.184.216.34"
INSIDE = f'ip link set lo up && ip address add {PUBLIC}/32 dev lo && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"'
POLICY = f"""\
version: 1
network:
  - name: tried-git
    hosts: [{HOSTS['code']}]
    schemes: [http]
    verdict: observe
    git: {{repositories: [acme/site], access: [fetch, push], refs: ["agent/*"], pack_max: 1KiB}}
  - name: tried-npm
    hosts: [{HOSTS['npm']}]
    schemes: [http]
    verdict: observe
    registry: {{type: npm, deny: [evil], min_age: 7d}}
"""
COMMIT = """\
cd "$HOME"; git config --global user.name T; git config --global user.email t@example.test
git clone -q http://{host}/acme/{name}.git && cd {name} && head -c 9000 /dev/urandom > file && git add file && git commit -q -m x
"""


def said(r):
    return r.returncode, r.stdout[-1500:], r.stderr[-2500:]


def would(s, kind, needle):
    return [r for r in s.records(kind) if needle in r.get("would_deny", "")]


def git(s, servers):
    before = servers.git.refs("site"), servers.git.refs("other")
    r = s.sh(COMMIT.format(host=HOSTS["code"], name="site") + "git push -q origin HEAD:main && git commit -q --amend -m y && "
             "git push -q -f origin HEAD:main", "--quiet", *servers.options())
    check("git: a push that the rule's refs refuse passes", r.returncode == 0 and
          servers.git.refs("site")["refs/heads/main"] != before[0]["refs/heads/main"], said(r))
    rows = would(s, "outcome", "refs/heads/main is not among the refs")
    check("git: the outcome says that it would have been denied, and why", len(rows) == 2 and
          all(row["result"] == "OK" for row in rows), s.records("outcome"))
    check("git: nothing was denied", not s.records("denial"), s.records("denial"))

    r = s.sh(COMMIT.format(host=HOSTS["code"], name="site") + "git push -q origin HEAD:refs/heads/agent/big", "--quiet",
             *servers.options())
    check("git: so does a push over pack_max", r.returncode == 0 and would(s, "outcome", "larger than pack_max"),
          (said(r), s.records("outcome")))
    r = s.sh(COMMIT.format(host=HOSTS["code"], name="other"), "--quiet", *servers.options())
    check("git: and a repository that it does not name", r.returncode == 0 and
          would(s, "intent", "acme/other is not among the repositories"), (said(r), s.records("intent")))
    r = s.sh(f"curl -s -o /dev/null -w '%{{http_code}}' http://{HOSTS['code']}/acme/site.git/HEAD", "--quiet", *servers.options())
    check("git: what is no request of git is denied all the same", r.stdout == "403", said(r))


def npm(s, servers):
    url = f"http://{HOSTS['npm']}"
    r = s.sh(f"cd $HOME; mkdir p; cd p; npm init -y >/dev/null; npm config set registry {url}/; "
             "npm install --no-audit --no-fund --no-update-notifier evil oats && cat node_modules/*/index.js", "--quiet",
             *servers.options())
    check("npm: a denied package installs, and the newest version, which is too young", r.returncode == 0 and
          "evil 1.0.0" in r.stdout and "hay 2.0.0" in r.stdout, said(r))
    rows = would(s, "intent", "evil is on the rule's deny list")
    check("npm: the intent says what would have been denied", {row["registry_action"] for row in rows} == {"metadata", "file"},
          s.records("intent"))
    rows = would(s, "outcome", "hay 2.0.0 was published 2 days ago; 7 are asked for")
    check("npm: and the outcome what came to light later", len(rows) == 1 and rows[0]["result"] == "OK", s.records("outcome"))
    rows = [i for i in s.records("intent") if i.get("registry_package") == "oats"]
    check("npm: what the rule has nothing against is not marked", rows and not any("would_deny" in i for i in rows), rows)
    r = s.sh(f"curl -s -o x -w '%{{http_code}}' {url}/swapped/-/swapped-1.0.0.tgz", "--quiet", *servers.options())
    rows = would(s, "outcome", "another digest")
    check("npm: a file with another digest arrives, and is marked", r.stdout == "200" and len(rows) == 1 and
          rows[0]["registry_digest_agrees"] is False and (s.workspace / "x").stat().st_size == rows[0]["bytes_in"], (said(r), rows))


def explain(s):
    r = s.paddock("policy", "explain", str(s.policy), "GET", f"http://{HOSTS['npm']}/evil")
    check("explain says it beforehand", r.returncode == 0 and r.stdout.startswith("observe") and
          "would be denied: evil is on the rule's deny list" in r.stdout, said(r))


if os.environ.get("PADDOCK_OBSERVE") != "inside":
    os.environ["PADDOCK_OBSERVE"] = "inside"
    os.execvp("unshare", ["unshare", "--user", "--map-current-user", "--keep-caps", "--net", "sh", "-c", INSIDE, "sh",
                          sys.executable, "-u", *sys.argv])
with tempfile.TemporaryDirectory(prefix="paddock-observe-") as directory, sandbox("observe", policy=POLICY) as s:
    servers = Registries(directory, PUBLIC)
    git(s, servers)
    npm(s, servers)
    explain(s)
    servers.close()
finish()
