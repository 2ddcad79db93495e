"""Real clients outside of any sandbox, through `paddock gate` as their proxy: each does what harness_clients.py has it do inside.

They are told of the gate by its environment file alone. needs: clients
"""
import os
import tempfile

import clients
from credentials import AWS_KEY, AWS_SECRET, AWS_TOKEN, Services
from outside import outside
from paddock import check, finish, world
from registries import HOSTS, Registries

AWS = """\
version: 1
network:
  - {{name: aws, hosts: ["*.amazonaws.com"], methods: ["*"], credential: aws, addresses: [127.0.0.0/8]}}
credentials:
  aws:
    source: {{file: {file}}}
    hosts: ["*.amazonaws.com"]
    strategy: sigv4
    sigv4: {{services: [sts], regions: [us-east-1]}}
    placeholder: {{environment: AWS_ACCESS_KEY_ID, prefix: AKIA}}
"""
REGISTRY = """\
version: 1
network:
  - name: {kind}
    hosts: [{host}]
    schemes: [{scheme}]
    addresses: [127.0.0.0/8]
    registry: {{type: {kind}, deny: [evil]}}
"""
GIT = f"""\
version: 1
network:
  - name: ours
    hosts: [{HOSTS['code']}]
    schemes: [https]
    addresses: [127.0.0.0/8]
    git: {{repositories: [acme/site], access: [fetch, push], refs: ["agent/*"]}}
"""


def aws(s):
    with tempfile.TemporaryDirectory(prefix="paddock-pki-") as directory:
        w, keys = Services(directory), s.root / "keys"
        keys.write_text(f"[default]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {AWS_SECRET}\n"
                        f"aws_session_token = {AWS_TOKEN}\n")
        os.chmod(keys, 0o600)
        s.set_policy(AWS.format(file=keys))
        r = s.sh("""\
export AWS_DEFAULT_REGION=us-east-1 AWS_SECRET_ACCESS_KEY=any-that-the-client-likes AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1
echo $AWS_ACCESS_KEY_ID; aws sts get-caller-identity --output text; aws --region eu-west-1 sts get-caller-identity 2>&1
""", *w.options(), "--resolve", f"sts.eu-west-1.amazonaws.com:443:127.0.0.1:{w.ports['plain']}")
        good = [row["service"] for row in w.asked if row.get("good")]
        check("aws: a request verifies with the real keys, of which the client has none", good == ["sts"] and "user/t" in r.stdout and
              AWS_KEY not in r.stdout and r.stdout.startswith("AKIA"), (clients.said(r), w.asked))
        check("aws: another region is refused in words", len(w.asked) == 1 and "denied by policy" in r.stdout, (clients.said(r), w.asked))


def git(s, servers):
    s.set_policy(GIT)
    before = servers.git.refs()
    r = s.sh(f"""\
set -e
git config --global user.name T; git config --global user.email t@example.test
git clone -q https://{HOSTS['code']}/acme/site.git; cd site; git checkout -q -b agent/new
echo x > new; git add new; git commit -q -m new; git push -q origin agent/new; echo pushed
git push origin HEAD:main
""", *servers.options())
    after = servers.git.refs()
    check("git: a push to a branch that the rule names", "pushed" in r.stdout and "refs/heads/agent/new" in after, (clients.said(r), after))
    changed = [ref for o in s.records("outcome") for ref in o.get("git_refs", []) if ref.startswith("create ")]
    check("git: what it changed is on record", len(changed) == 1 and changed[0].endswith(" refs/heads/agent/new"), s.records("outcome"))
    check("git: one to another is refused in words, and does not happen", r.returncode != 0 and "not among the refs" in r.stderr and
          after["refs/heads/main"] == before["refs/heads/main"], (clients.said(r), after))


def registry(s, servers, kind, name, scheme, allowed, refused, got):
    s.set_policy(REGISTRY.format(kind=kind, host=HOSTS[kind], scheme=scheme))
    r = s.sh(allowed, *servers.options())
    check(f"{name}: a package", r.returncode == 0 and got in r.stdout, clients.said(r))
    rows = [i for i in s.records("intent") if i.get("registry_package") == "hay" and i.get("registry_action") == "file"]
    check(f"{name}: its version is on record", rows and rows[0]["registry_version"], s.records("intent"))
    r = s.sh(refused, *servers.options())
    check(f"{name}: a denied one is refused in words", r.returncode != 0 and "deny list" in r.stderr, clients.said(r))


CARGO = f"""\
rm -rf c; mkdir -p c/src c/.cargo; cd c; echo > src/lib.rs; export CARGO_HOME=$PWD/home
printf '[package]\\nname = "c"\\nversion = "0.1.0"\\nedition = "2021"\\n[dependencies]\\nNAME = "1"\\n' > Cargo.toml
printf '[source.crates-io]\\nreplace-with = "t"\\n[source.t]\\nregistry = "sparse+http://{HOSTS['crates']}/index/"\\n[net]\\nretry = 0\\n' > .cargo/config.toml
/usr/bin/cargo fetch && ls home/registry/cache/*/
"""
APT = f"""\
rm -rf a; mkdir -p a/lists/partial a/archives/partial a/state; touch a/status; cd a
echo "deb [trusted=yes] http://{HOSTS['apt']} flat/" > sources.list
O="-o Dir::Etc::SourceList=$PWD/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$PWD/lists -o Dir::State::status=$PWD/status \
 -o Dir::State=$PWD/state -o Dir::Cache=$PWD -o Dir::Cache::Archives=$PWD/archives -o Acquire::Retries=0 -o Debug::NoLocking=1 -o Acquire::Languages=none"
apt-get $O update >/dev/null && apt-get $O download NAME && ls *.deb
"""
NPM = f"""\
rm -rf n; mkdir n; cd n; npm init -y >/dev/null
npm install --registry https://{HOSTS['npm']}/ --no-audit --no-fund --no-update-notifier --fetch-retries=0 NAME && cat node_modules/NAME/index.js
"""
PIP = f"""\
rm -rf t; pip install --disable-pip-version-check --no-cache-dir --retries 0 --target t -i https://{HOSTS['pypi']}/simple/ NAME && cat t/NAME.py
"""
REGISTRIES = (("crates", "cargo", "http", CARGO, "hay-"), ("apt", "apt", "http", APT, "hay_"),
              ("npm", "npm", "https", NPM, "hay 2.0.0"), ("pypi", "pip", "https", PIP, "version = '2.0'"))


with world(clients.NODE_24) as w, outside("gate-clients", w, clients.tools_policy()) as s:
    for task in clients.TASKS:
        task(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
with tempfile.TemporaryDirectory(prefix="paddock-registries-") as directory, outside("gate-registries") as s:
    aws(s)
    servers = Registries(directory)
    for kind, name, scheme, script, got in REGISTRIES:
        registry(s, servers, kind, name, scheme, script.replace("NAME", "hay"), script.replace("NAME", "evil"), got)
    git(s, servers)
    servers.close()
finish()
