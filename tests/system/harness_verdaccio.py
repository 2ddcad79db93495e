"""verdaccio, a registry that people run: npm installs from it, is led around what is too young, is refused in words, and publishes
what a rule lets it publish, with a token that the agent does not hold. needs: clients"""
import base64
import contextlib
import datetime
import hashlib
import json
import pathlib
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from clients import said
from paddock import BASE, check, finish, sandbox, wait_for
from registries import tar_gz

HOST = "npm.example.test"
CONFIG = """\
storage: {directory}/storage
auth: {{htpasswd: {{file: {directory}/htpasswd, max_users: 10}}}}
uplinks: {{}}
packages: {{"**": {{access: $all, publish: $authenticated}}}}
log: {{type: stdout, format: json, level: warn}}
"""
POLICY = f"""\
version: 1
network:
  - name: npm
    hosts: [{HOST}]
    schemes: [http]
    addresses: [127.0.0.0/8]
    credential: npm
    registry: {{type: npm, RULE}}
credentials:
  npm:
    source: {{environment: NPM_TOKEN}}
    hosts: [{HOST}]
    header: {{name: authorization, format: "Bearer {{secret}}"}}
    placeholder: {{environment: NPM_TOKEN, prefix: "npm_"}}
"""


class Verdaccio:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        (self.directory / "config.yaml").write_text(CONFIG.format(directory=directory))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        program = BASE / "clients" / "node_modules" / "verdaccio" / "bin" / "verdaccio"
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(["node", str(program), "--config", str(self.directory / "config.yaml"),
                                         "--listen", f"127.0.0.1:{self.port}"], cwd=directory, stdout=self.log, stderr=self.log)
        if not wait_for(self.up, 60):
            raise RuntimeError(f"verdaccio did not come up: {(self.directory / 'log').read_text()}")
        self.token = None
        self.token = self.ask("/-/user/org.couchdb.user:ann", {"name": "ann", "password": "straw-and-hay-1"})["token"]

    def up(self):
        with contextlib.suppress(OSError):
            return self.ask("/-/ping") is not None

    def ask(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method="PUT" if body else "GET",
                                         data=json.dumps(body).encode() if body else None, headers={"content-type": "application/json"})
        if body and self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def publish(self, name, version):
        """As npm does it; verdaccio dates it today."""
        manifest = {"name": name, "version": version, "main": "index.js"}
        data = tar_gz({"package/package.json": json.dumps(manifest), "package/index.js": f"module.exports = '{name} {version}'\n"})
        file = f"{name}-{version}.tgz"
        self.ask(f"/{name}", {"_id": name, "name": name, "dist-tags": {"latest": version}, "versions": {version: {**manifest, "dist": {
            "shasum": hashlib.sha1(data).hexdigest(), "tarball": f"http://127.0.0.1:{self.port}/{name}/-/{file}",
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()}}},
            "_attachments": {file: {"content_type": "application/octet-stream", "length": len(data),
                                    "data": base64.b64encode(data).decode()}}})

    def age(self, name, version):
        """A year older than it is, in its own store."""
        path = self.directory / "storage" / name / "package.json"
        document = json.loads(path.read_text())
        then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=365)
        document["time"][version] = then.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        path.write_text(json.dumps(document))

    def versions(self, name):
        with contextlib.suppress(urllib.error.HTTPError):
            return list(self.ask(f"/{name}")["versions"])
        return []

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def npm(s, v, rule, script):
    s.set_policy(POLICY.replace("RULE", rule))
    begin = (f"cd $HOME; rm -rf p; mkdir p; cd p; printf 'registry=http://{HOST}/\\n//{HOST}/:_authToken=%s\\n' $NPM_TOKEN > .npmrc; "
             "npm init -y >/dev/null; ")
    return s.sh(begin + script, "--quiet", "--resolve", f"{HOST}:80:127.0.0.1:{v.port}", env={"NPM_TOKEN": v.token})


INSTALL = "npm install --no-audit --no-fund --no-update-notifier --fetch-retries=0 {0} && cat node_modules/{0}/index.js"


def publish(name):
    return (f"npm pkg set name={name} version=1.0.0 main=index.js >/dev/null; echo 'module.exports = 1' > index.js; "
            "npm publish --no-update-notifier --fetch-retries=0")


def installs(s, v):
    r = npm(s, v, "min_age: 7d, deny: [evil]", INSTALL.format("hay"))
    check("what is too young is resolved around", "hay 1.0.0" in r.stdout, said(r))
    files = [i for i in s.records("intent") if i.get("registry_action") == "file"]
    done = {o["request"]: o for o in s.records("outcome")}
    check("the trail has package, version, and a digest that agrees with verdaccio's", len(files) == 1 and
          files[0]["registry_package"] == "hay" and files[0]["registry_version"] == "1.0.0" and
          done[files[0]["request"]]["registry_digest_agrees"] is True, files)
    r = npm(s, v, "deny: [evil]", INSTALL.format("hay"))
    check("without an age the newest is installed", "hay 1.1.0" in r.stdout, said(r))
    r = npm(s, v, "min_age: 7d, deny: [evil]", INSTALL.format("fresh"))
    check("a package of which all is too young is refused in words",
          r.returncode != 0 and "Paddock" in r.stderr and "7 days" in r.stderr and "fresh 1" not in r.stdout, said(r))
    r = npm(s, v, "min_age: 7d, deny: [evil]", INSTALL.format("evil"))
    check("a denied one too", "deny list" in r.stderr and "evil 1" not in r.stdout, said(r))


def publishes(s, v):
    r = npm(s, v, "deny: [evil]", publish("ours"))
    check("a rule that is for installing refuses to publish, in words", r.returncode != 0 and "Paddock" in r.stderr and not v.versions("ours"),
          (said(r), v.versions("ours")))
    denied = [d for d in s.records("denial") if d.get("registry_action") == "publish"]
    check("and that is on record, with the package", denied and denied[0]["registry_package"] == "ours", s.records("denial"))
    rule = "access: [install, publish], packages: [ours, hay]"
    r = npm(s, v, rule, publish("ours"))
    check("one that is for publishing lets npm publish, with the token that the agent does not hold",
          r.returncode == 0 and v.versions("ours") == ["1.0.0"] and v.token not in r.stdout + r.stderr, (said(r), v.versions("ours")))
    rows = [i for i in s.records("intent") if i.get("registry_action") == "publish"]
    check("on record: what, and with which credential", len(rows) == 1 and rows[0]["registry_package"] == "ours" and
          rows[0]["credential"] == "npm", rows)
    r = npm(s, v, rule, publish("theirs"))
    check("a package that is not listed is not published", r.returncode != 0 and "not among the packages" in r.stderr and not v.versions("theirs"),
          (said(r), v.versions("theirs")))
    r = npm(s, v, rule, INSTALL.format("ours"))
    check("what was published installs", "module.exports = 1" in r.stdout, said(r))


with tempfile.TemporaryDirectory(prefix="paddock-verdaccio-") as directory, sandbox("verdaccio") as s:
    verdaccio = Verdaccio(directory)
    try:
        for name, version in (("hay", "1.0.0"), ("hay", "1.1.0"), ("fresh", "1.0.0"), ("evil", "1.0.0")):
            verdaccio.publish(name, version)
        verdaccio.age("hay", "1.0.0")
        verdaccio.age("evil", "1.0.0")
        installs(s, verdaccio)
        publishes(s, verdaccio)
    finally:
        verdaccio.close()
finish()
