"""npm, pip, cargo and apt through rules that speak registries: what is allowed installs, what is too young, yanked, denied or
out of range is resolved around or refused in words, and the trail says which package, version and digest came in."""
import hashlib
import json
import subprocess
import tempfile

from paddock import check, finish, sandbox, wait_for
from registries import HOSTS, OLD, TOKEN, Registries

RULE = """\
  - name: {kind}
    hosts: [{host}]
    schemes: [{scheme}]
    addresses: [127.0.0.0/8]
    registry:
      type: {kind}
      {keys}
"""
NPM_CREDENTIAL = f"""\
    credential: npm
credentials:
  npm:
    source: {{environment: NPM_TOKEN}}
    hosts: [{HOSTS['npm']}]
    strategy: header
    header: {{name: authorization, format: "Bearer {{secret}}"}}
    placeholder: {{environment: NPM_TOKEN, prefix: "npm_"}}
"""


def policy(kind, keys, scheme="http"):
    return "version: 1\nnetwork:\n" + RULE.format(kind=kind, host=HOSTS[kind], keys=keys, scheme=scheme)


def said(r):
    return r.returncode, r.stdout[-1500:], r.stderr[-2500:]


def outcomes(s, **match):
    """Outcomes together with the facts of their intents."""
    intents = {i["request"]: i for i in s.records("intent")}
    rows = [{**intents.get(o["request"], {}), **o} for o in s.records("outcome")]
    return [r for r in rows if all(r.get(k) == v for k, v in match.items())]


def npm(s, servers):
    def install(what, more=""):
        return s.sh(f"cd $HOME; rm -rf p; mkdir p; cd p; npm init -y >/dev/null; npm config set registry http://{HOSTS['npm']}/; "
                    f"npm install --no-audit --no-fund --no-update-notifier {what} && "
                    f"find node_modules -name index.js | sort | xargs cat; {more}", "--quiet", *servers.options())

    osv = s.root / "osv.json"
    osv.write_text(json.dumps([{"id": "GHSA-test-hay", "affected": [{
        "package": {"ecosystem": "npm", "name": "hay"},
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.5"}, {"fixed": "2.0.0"}]}]}]}]))

    s.set_policy(policy("npm", "deny: [evil]\n      min_age: 7d"))
    r = install("oats @barn/straw")
    check("npm: what is too young is resolved around", "hay 1.1.0" in r.stdout and "hay 2.0.0" not in r.stdout and
          "straw 1.0.0" in r.stdout, said(r))
    rows = outcomes(s, registry_action="file", registry_package="hay")
    check("npm: the trail has package, version, digest, and that it is the metadata's",
          rows and rows[0]["registry_version"] == "1.1.0" and rows[0]["registry_digest"].startswith("sha512-") and
          rows[0]["registry_digest_agrees"] is True and "asked_by" in rows[0], rows)
    check("npm: and when it was published", rows and rows[0]["registry_published"] == int(OLD) and
          "registry_yanked" not in rows[0], rows)
    rows = [i for i in s.records("intent") if i.get("purpose") == "metadata"]
    check("npm: the courier's own request for metadata is on record", rows, s.records("intent")[:2])
    r = install("hay@2.0.0")
    check("npm: a version that is too young is not found", r.returncode != 0 and "hay@2.0.0" in r.stderr, said(r))
    r = install("fresh")
    check("npm: a package of which all is too young is refused in words",
          r.returncode != 0 and "Paddock" in r.stderr and "7 days" in r.stderr, said(r))
    r = install("herd")
    check("npm: many at once", r.stdout.count("ewe-") == 60 and "1.0.1" not in r.stdout, said(r))
    r = install("nowhere")
    check("npm: what the registry does not have is not found", r.returncode != 0 and "E404" in r.stderr, said(r))
    r = install("evil")
    check("npm: a denied package is refused in words", r.returncode != 0 and "deny list" in r.stderr, said(r))
    r = s.sh(f"curl -s http://{HOSTS['npm']}/hay/-/hay-2.0.0.tgz | head -c 300", "--quiet", *servers.options())
    check("npm: so is the file by its address", "published 2 days ago" in r.stdout, said(r))
    r = install("swapped")
    check("npm: a file with another digest does not arrive whole", r.returncode != 0, said(r))
    rows = outcomes(s, registry_package="swapped", registry_action="file")
    check("npm: and that is on record", rows and rows[0]["registry_digest_agrees"] is False and
          rows[0]["result"] == "CONTENT_DENIED", rows)
    r = s.sh(f"cd $HOME/p && npm config set registry http://{HOSTS['npm']}/ && npm audit 2>&1", "--quiet", *servers.options())
    check("npm: an audit, which would send what is installed, is refused", r.returncode != 0 and
          not any(row[1] == "POST" for row in servers.asked("npm")), said(r))

    s.set_policy(policy("npm", f"packages: [hay, oats]\n      advisories: {osv}"))
    r = install("hay@1")
    check("npm: a version that an advisory names is resolved around", "hay 1.0.0" in r.stdout, said(r))
    r = install("@barn/straw")
    check("npm: a package that is not listed is refused in words", r.returncode != 0 and "not among the packages" in r.stderr, said(r))

    s.set_policy(policy("npm", "versions: {hay: \"<1.1\"}"))
    r = install("oats")
    check("npm: a range narrows", "hay 1.0.0" in r.stdout, said(r))
    r = install("hay", "npm ci --no-audit --no-fund && echo again")
    check("npm: latest points to what is left, and a lock file installs again", "hay 1.0.0" in r.stdout and "again" in r.stdout, said(r))


def cached(s, servers):
    """One request for the metadata serves every file of the package."""
    s.set_policy(policy("npm", "min_age: 7d"))
    before = len(servers.asked("npm", "/hay"))
    r = s.sh("".join(f"curl -s -o /dev/null -w '%{{http_code}} ' http://{HOSTS['npm']}/hay/-/hay-{v}.tgz; "
                     for v in ("1.0.0", "1.1.0", "2.0.0", "1.0.0")), "--quiet", *servers.options())
    asked = [row[2] for row in servers.asked("npm", "/hay")[before:]]
    check("npm: the metadata is asked for once, and judges the second file too", r.stdout == "200 200 403 200 " and
          asked == ["/hay"] + [f"/hay/-/hay-{v}.tgz" for v in ("1.0.0", "1.1.0", "1.0.0")], (said(r), asked))
    rows = [i for i in s.records("intent") if i.get("purpose") == "metadata"]
    check("npm: and is one record", len(rows) == 1, rows)


def private(s, servers):
    s.set_policy(policy("npm", "min_age: 7d") + NPM_CREDENTIAL)
    r = s.sh(f"cd $HOME; rm -rf p; mkdir p; cd p; npm init -y >/dev/null; npm config set registry http://{HOSTS['npm']}/; "
             "npm install --no-audit --no-fund --no-update-notifier @private/oat && cat node_modules/@private/oat/index.js",
             "--quiet", *servers.options(), env={"NPM_TOKEN": TOKEN})
    check("npm: a private registry, with the credential that the agent does not hold, ages too",
          "oat 1.0.0" in r.stdout and TOKEN not in r.stdout + r.stderr, said(r))


def publish(s, servers):
    """A client that is logged in, with a placeholder: npm sends nothing without a login."""
    published = servers.kinds[HOSTS["npm"]].published

    def put(name, keys):
        s.set_policy(policy("npm", keys) + NPM_CREDENTIAL)
        return s.sh(f"""\
cd $HOME; rm -rf p; mkdir p; cd p; echo 1 > index.js; echo '{{"name": "{name}", "version": "3.0.0"}}' > package.json
echo 'registry=http://{HOSTS['npm']}/
//{HOSTS['npm']}/:_authToken=${{NPM_TOKEN}}' > .npmrc
npm publish --no-update-notifier --access public
""", "--quiet", *servers.options(), env={"NPM_TOKEN": TOKEN})

    r = put("@acme/tool", "access: install")
    check("npm publish: refused in words where a rule has install alone", r.returncode != 0 and "Paddock" in r.stderr and
          "publishing is not allowed" in r.stderr and not published, said(r))
    r = put("hay", "access: [install, publish]\n      packages: [\"@acme/*\"]")
    check("npm publish: another's package is refused", r.returncode != 0 and "not among the packages" in r.stderr and
          not published, said(r))
    rows = [i for i in s.records("denial") if i.get("registry_action") == "publish"]
    check("npm publish: the refusal is on record", rows and rows[0]["registry_package"] == "hay", s.records("denial"))
    r = put("@acme/tool", "access: [install, publish]\n      packages: [\"@acme/*\"]")
    check("npm publish: one's own arrives, with the token that the agent does not hold", r.returncode == 0 and
          list(published) == ["/@acme/tool"] and "3.0.0" in published["/@acme/tool"]["versions"] and
          TOKEN not in r.stdout + r.stderr, (said(r), list(published)))
    rows = [i for i in s.records("intent") if i.get("registry_action") == "publish"]
    check("npm publish: and is on record", len(rows) == 1 and rows[0]["registry_package"] == "@acme/tool" and
          rows[0]["credential"] == "npm", rows)


def over_tls(s, servers):
    s.set_policy(policy("npm", "min_age: 7d\n      deny: [evil]", "https"))
    start = f"cd $HOME; rm -rf p; mkdir p; cd p; npm init -y >/dev/null; npm config set registry https://{HOSTS['npm']}/; "
    r = s.sh(start + "npm install --no-audit --no-fund --no-update-notifier oats && cat node_modules/hay/index.js; "
             "npm install --no-audit --no-fund --no-update-notifier evil", "--quiet", *servers.options())
    check("npm over TLS: the same: resolved around, and refused in words", "hay 1.1.0" in r.stdout and r.returncode != 0 and
          "deny list" in r.stderr, said(r))
    rows = outcomes(s, registry_action="file", registry_package="hay")
    check("npm over TLS: with digest and age on record", rows and rows[0]["registry_digest_agrees"] is True and
          rows[0]["registry_published"] == int(OLD) and rows[0]["url"].startswith("https://"), rows)


def reload(s, servers):
    """A reload in the confined courier: advisories are those that were read at the start."""
    osv = s.root / "osv.json"
    osv.write_text(json.dumps([{"id": "MAL-1", "affected": [{"package": {"ecosystem": "npm", "name": "evil"}}]}]))
    s.set_policy(policy("npm", f"deny: [fresh]\n      advisories: {osv}"))
    url = f"http://{HOSTS['npm']}"
    p = s.start(["sh", "-c", f"while :; do (for f in fresh evil/-/evil-1.0.0.tgz; do curl -s -m 5 -o /dev/null -w '%{{http_code}} ' "
                             f"{url}/$f; done) > next; mv next status; sleep 0.2; done"], "--quiet", *servers.options(),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def status():
        f = s.workspace / "status"
        return f.read_text().strip() if f.exists() else ""
    check("reload: at first both are refused", wait_for(lambda: status() == "403 403", 30), status())
    s.set_policy(policy("npm", f"deny: [oats]\n      advisories: {osv}"))
    check("reload: another list takes effect, the advisories stay", wait_for(lambda: status() == "200 403", 15), status())
    p.terminate()
    p.communicate(timeout=40)


def pip(s, servers):
    def install(what, path="simple"):
        return s.sh(f"cd $HOME; rm -rf t; pip install --disable-pip-version-check --no-cache-dir --retries 0 --target t "
                    f"--trusted-host {HOSTS['pypi']} -i http://{HOSTS['pypi']}/{path}/ {what} && cat t/hay.py",
                    "--quiet", *servers.options())

    s.set_policy(policy("pypi", "min_age: 7d\n      deny: [evil]"))
    r = install("hay")
    check("pip: what is too young or yanked is resolved around", "version = '1.1'" in r.stdout, said(r))
    rows = outcomes(s, registry_action="file", registry_package="hay")
    check("pip: the trail has version and digest", rows and rows[0]["registry_version"] == "1.1" and
          rows[0]["registry_digest"].startswith("sha256:") and rows[0]["registry_digest_agrees"] is True, rows)
    r = install("hay==2.0")
    check("pip: a version that is too young is not found", r.returncode != 0 and "hay==2.0" in r.stderr, said(r))
    r = install("hay==1.2")
    check("pip: a yanked version by its number, with the reason", "version = '1.2'" in r.stdout and "broken" in r.stderr, said(r))
    rows = outcomes(s, registry_action="file", registry_version="1.2")
    check("pip: and the trail says that it is yanked", rows and rows[0]["registry_yanked"] is True and
          rows[0]["registry_published"] == int(OLD), rows)
    r = install("evil")
    check("pip: a denied package is refused in words", r.returncode != 0 and "deny list" in r.stderr, said(r))
    r = s.sh(f"pip download --no-cache-dir --trusted-host {HOSTS['pypi']} http://{HOSTS['pypi']}/packages/hay-2.0-py3-none-any.whl",
             "--quiet", *servers.options())
    check("pip: a file by its address is refused in words", r.returncode != 0 and "published 2 days ago" in r.stderr, said(r))
    s.set_policy(policy("pypi", "versions: {hay: \"<1.1\"}"))
    r = install("hay")
    check("pip: a range narrows", "version = '1.0'" in r.stdout, said(r))
    s.set_policy(policy("pypi", "packages: [hay]"))
    r = install("hay")
    check("pip: without an age the newest", "version = '2.0'" in r.stdout, said(r))

    static = f"index: http://{HOSTS['pypi']}/static/\n      "
    s.set_policy(policy("pypi", static + "versions: {hay: \"<1.1\"}\n      deny: [evil]"))
    r = install("hay", "static/simple")
    check("pip: an index that has HTML alone is filtered too", "version = '1.0'" in r.stdout, said(r))
    rows = outcomes(s, registry_action="file", registry_package="hay")
    check("pip: and its digests are those of its links", rows and rows[0]["registry_digest_agrees"] is True and
          "registry_published" not in rows[0], rows)
    r = install("evil", "static/simple")
    check("pip: a denied package is refused there in words", r.returncode != 0 and "deny list" in r.stderr, said(r))
    s.set_policy(policy("pypi", static + "min_age: 7d"))
    r = install("hay", "static/simple")
    check("pip: where a minimum age is asked for, it has none and is refused in words", r.returncode != 0 and
          "Paddock" in r.stderr and not outcomes(s, registry_action="file"), said(r))


LOCK = """\
version = 3

[[package]]
name = "c"
version = "0.1.0"
dependencies = [
 "hay",
]

[[package]]
name = "hay"
version = "1.1.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "{checksum}"
"""


def cargo(s, servers):
    def fetch(version, lock=""):
        (s.workspace / "lock").write_text(lock)
        return s.sh(f"""\
here=$PWD; cd $HOME; rm -rf c; mkdir -p c/src c/.cargo; cd c; echo > src/lib.rs; [ ! -s $here/lock ] || cp $here/lock Cargo.lock; export CARGO_HOME=$HOME/c/home
printf '[package]\\nname = "c"\\nversion = "0.1.0"\\nedition = "2021"\\n[dependencies]\\n{version}\\n' > Cargo.toml
printf '[source.crates-io]\\nreplace-with = "t"\\n[source.t]\\nregistry = "sparse+http://{HOSTS['crates']}/index/"\\n[net]\\nretry = 0\\n' > .cargo/config.toml
/usr/bin/cargo fetch && grep -A1 'name = "hay"' Cargo.lock && ls home/registry/cache/*/
""", "--quiet", *servers.options())

    s.set_policy(policy("crates", "min_age: 7d\n      deny: [evil]"))
    r = fetch('hay = "1"')
    check("cargo: what is too young or yanked is resolved around", 'version = "1.1.0"' in r.stdout and "hay-1.1.0.crate" in r.stdout, said(r))
    rows = outcomes(s, registry_action="file", registry_package="hay")
    check("cargo: the trail has version and digest", rows and rows[0]["registry_version"] == "1.1.0" and
          rows[0].get("registry_digest_agrees") is True, rows)
    r = fetch('hay = "=1.2.0"')
    check("cargo: a version that is too young is not found", r.returncode != 0 and "1.2.0" in r.stderr, said(r))
    r = fetch('hay = "=1.1.1"')
    check("cargo: a yanked version is not chosen", r.returncode != 0 and "yanked" in r.stderr, said(r))
    data = servers.kinds[HOSTS["crates"]].files["/dl/hay/1.1.1/download"]
    r = fetch('hay = "=1.1.1"', LOCK.format(checksum=hashlib.sha256(data).hexdigest()))
    check("cargo: one that a lock file has is fetched", "hay-1.1.1.crate" in r.stdout, said(r))
    rows = outcomes(s, registry_action="file", registry_version="1.1.1")
    check("cargo: and the trail says that it is yanked", rows and rows[0]["registry_yanked"] is True, rows)
    r = fetch('evil = "1"')
    check("cargo: a denied crate is refused in words", r.returncode != 0 and "deny list" in r.stderr, said(r))


def cargo_locked(s, servers):
    """With a lock file and an index of before the rule nothing is resolved anew: what is refused is the file itself."""
    def fetch(name, keys, more):
        s.set_policy(policy("crates", keys))
        return s.sh(f"""\
mkdir -p c/src c/.cargo; cd c; echo > src/lib.rs; export CARGO_HOME=$PWD/home
printf '[package]\\nname = "c"\\nversion = "0.1.0"\\nedition = "2021"\\n[dependencies]\\n{name}\\n' > Cargo.toml
printf '[source.crates-io]\\nreplace-with = "t"\\n[source.t]\\nregistry = "sparse+http://{HOSTS['crates']}/index/"\\n[net]\\nretry = 0\\n' > .cargo/config.toml
{more}
""", "--quiet", *servers.options())

    index = f"index: http://{HOSTS['crates']}/index/\n      "		# which nobody asks for in the second run
    for crate, asked, keys, words in (("evil", 'evil = "1"', "deny: [evil]", "evil is on the rule's deny list"),
                                      ("hay", 'hay = "=1.2.0"', index + "min_age: 7d", "hay 1.2.0 was published 2 days ago"),
                                      ("hay", 'hay = "=1.2.0"', "min_age: 7d", "a minimum age is asked for")):
        r = fetch(asked, "deny: [nothing]", "rm -rf home Cargo.lock; /usr/bin/cargo fetch && rm -r home/registry/cache home/registry/src")
        before = len(servers.asked("crates", f"/dl/{crate}/"))
        check(f"cargo: {crate} is had, and locked, while no rule is against it", r.returncode == 0 and before, said(r))
        r = fetch(asked, keys, "/usr/bin/cargo fetch --locked")
        check(f"cargo: a locked {crate} is refused where its file is asked for: {words}", r.returncode != 0 and words in r.stderr and
              len(servers.asked("crates", f"/dl/{crate}/")) == before, said(r))
        rows = [d for d in s.records("denial") + outcomes(s) if d.get("registry_action") == "file"]
        check(f"cargo: the refusal of {crate}'s file is on record", rows and rows[0]["registry_package"] == crate, s.records())


def apt(s, servers):
    def download(package):
        return s.sh(f"""\
cd $HOME; rm -rf a; mkdir -p a/lists/partial a/archives/partial a/state; touch a/status; cd a
echo "deb [trusted=yes] http://{HOSTS['apt']} flat/" > sources.list
O="-o Dir::Etc::SourceList=$PWD/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$PWD/lists \
 -o Dir::State::status=$PWD/status -o Dir::State=$PWD/state -o Dir::Cache=$PWD -o Dir::Cache::Archives=$PWD/archives -o APT::Sandbox::User=root \
 -o Acquire::Retries=0 -o Debug::NoLocking=1 -o Acquire::Languages=none"
apt-get $O update >/dev/null && apt-get $O download {package} && ls *.deb
""", "--quiet", *servers.options())

    s.set_policy(policy("apt", "packages: [hay, straw]\n      versions: {straw: \"<< 1.0\"}"))
    r = download("hay")
    check("apt: a listed package", "hay_1.0-1_all.deb" in r.stdout, said(r))
    rows = outcomes(s, registry_action="file", registry_package="hay")
    check("apt: the trail has version and digest", rows and rows[0]["registry_version"] == "1.0-1" and
          rows[0]["registry_digest"].startswith("sha256:"), rows)
    r = download("evil")
    check("apt: another is refused in words", r.returncode != 0 and "not among the packages" in r.stderr, said(r))
    r = download("straw")
    check("apt: a version out of range is refused", r.returncode != 0 and "403" in r.stderr, said(r))

    osv = s.root / "debian.json"
    osv.write_text(json.dumps([{"id": "DSA-1", "affected": [{"package": {"ecosystem": "Debian:12", "name": "barn"}, "ranges": [
        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1:1.0-2"}]}]}]}]))
    s.set_policy(policy("apt", f"advisories: {osv}"))
    r = download("straw")
    check("apt: an advisory names the source of a package", r.returncode != 0 and "named by DSA-1" in r.stderr, said(r))
    r = download("hay")
    check("apt: what it does not name is had", "hay_1.0-1_all.deb" in r.stdout, said(r))
    r = s.sh(f"curl -s http://{HOSTS['apt']}/other/hay_1.0-1_all.deb", "--quiet", *servers.options())
    check("apt: where the path does not say the source, it is refused", "does not say of which source" in r.stdout, said(r))


with tempfile.TemporaryDirectory(prefix="paddock-registries-") as directory, sandbox("registries") as s:
    servers = Registries(directory)
    for task in (npm, cached, private, publish, over_tls, reload, pip, cargo, cargo_locked, apt):
        task(s, servers)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
    servers.close()
finish()
