"""registries.py - small stand-ins, over HTTP and HTTPS, for a git server, npm, PyPI, crates.io and a Debian archive.

git is git's own http-backend; the Debian archive is made by dpkg-deb and dpkg-scanpackages; the others serve packages that
are made here, with dates, digests and yanked ones. One server; the host name says which. What was asked is in `log`.
"""
import base64
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hostile"))
import pki  # noqa: E402

HOSTS = {kind: f"{kind}.example.test" for kind in ("code", "npm", "pypi", "crates", "apt")}
TOKEN = "npm_of_the_test_that_nobody_else_knows"
OLD, YOUNG = time.time() - 400 * 86400, time.time() - 2 * 86400


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def tar_gz(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            info.mode = 0o644
            t.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class Npm:
    """hay 1.0.0, 1.1.0 (old), 2.0.0 (young, latest); oats needs hay; herd needs ewe-0 to ewe-59; evil; swapped: another digest than it says;
    @private/oat 1.0.0, 1.1.0 (young), for those with the token. What is published with it is in `published`."""

    def __init__(self):
        self.files, self.documents, self.published = {}, {}, {}
        self.package("hay", {"1.0.0": OLD, "1.1.0": OLD, "2.0.0": YOUNG})
        self.package("oats", {"1.0.0": OLD}, {"hay": ">=1"})
        self.package("@barn/straw", {"1.0.0": OLD})
        self.package("fresh", {"1.0.0": YOUNG})
        self.package("evil", {"1.0.0": OLD})
        for n in range(60):
            self.package(f"ewe-{n}", {"1.0.0": OLD, "1.0.1": YOUNG})
        self.package("herd", {"1.0.0": OLD}, {f"ewe-{n}": "^1.0.0" for n in range(60)})
        self.package("@private/oat", {"1.0.0": OLD, "1.1.0": YOUNG})
        self.package("swapped", {"1.0.0": OLD})
        self.files["/swapped/-/swapped-1.0.0.tgz"] = tar_gz({"package/package.json": '{"name":"swapped","version":"1.0.0"}',
                                                              "package/x": "other"})

    def package(self, name, versions, dependencies=None):
        document = {"_id": name, "name": name, "dist-tags": {"latest": list(versions)[-1]}, "versions": {},
                    "time": {"created": stamp(OLD), "modified": stamp(YOUNG)}, "readme": "x" * 3000}
        for version, when in versions.items():
            manifest = {"name": name, "version": version, "main": "index.js", "dependencies": dependencies or {}}
            data = tar_gz({"package/package.json": json.dumps(manifest),
                           "package/index.js": f"module.exports = '{name} {version}';\n"})
            path = f"/{name}/-/{name.split('/')[-1]}-{version}.tgz"
            self.files[path] = data
            document["versions"][version] = {**manifest, "dist": {
                "tarball": f"http://{HOSTS['npm']}{path}", "shasum": hashlib.sha1(data).hexdigest(),
                "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()}}
            document["time"][version] = stamp(when)
        self.documents["/" + name] = document

    def put(self, path, headers, body):
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, "application/json", b'{"error":"who are you"}'
        self.published[urllib.parse.unquote(path)] = json.loads(body)
        return 201, "application/json", b'{"ok":true}'

    def get(self, path, headers):
        path = urllib.parse.unquote(path)
        if path.startswith("/@private/") and headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, "application/json", b'{"error":"who are you"}'
        if path in self.files:
            return 200, "application/octet-stream", self.files[path]
        document = self.documents.get(path)
        if not document:
            return 404, "application/json", b'{"error":"Not found"}'
        if "vnd.npm.install-v1" in headers.get("accept", ""):
            document = {k: v for k, v in document.items() if k in ("name", "dist-tags", "versions")}
        return 200, "application/json", json.dumps(document).encode()


class Pypi:
    """A tree of files, as a mirror leaves it: hay 1.0, 1.1 (old), 1.2 (yanked), 2.0 (young); evil. Each project has an index in
    JSON and in HTML, of which the client's Accept chooses; beneath /static there is HTML alone."""

    def __init__(self, directory):
        self.root = directory / "pypi"
        (self.root / "packages").mkdir(parents=True)
        self.project("hay", {"1.0": (OLD, False), "1.1": (OLD, False), "1.2": (OLD, "broken"), "2.0": (YOUNG, False)})
        self.project("evil", {"1.0": (OLD, False)})

    def project(self, name, versions):
        files = []
        for version, (when, yanked) in versions.items():
            info, file = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
            with zipfile.ZipFile(self.root / "packages" / file, "w") as z:
                z.writestr(f"{name}.py", f"version = '{version}'\n")
                z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                z.writestr(f"{info}/RECORD", "".join(f"{n},,\n" for n in (f"{name}.py", f"{info}/METADATA",
                                                                           f"{info}/WHEEL", f"{info}/RECORD")))
            digest = hashlib.sha256((self.root / "packages" / file).read_bytes()).hexdigest()
            files.append({"filename": file, "url": f"http://{HOSTS['pypi']}/packages/{file}", "hashes": {"sha256": digest},
                          "upload-time": stamp(when), "yanked": yanked})
        rows = "".join(f'<a href="{f["url"]}#sha256={f["hashes"]["sha256"]}"' +
                       (f' data-yanked="{f["yanked"]}"' if f["yanked"] else "") + f'>{f["filename"]}</a><br/>\n' for f in files)
        for place in (self.root / "simple" / name, self.root / "static/simple" / name):
            place.mkdir(parents=True)
            (place / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{rows}</body></html>\n")
        (self.root / "simple" / name / "index.v1_json").write_text(json.dumps(
            {"meta": {"api-version": "1.1"}, "name": name, "files": files, "versions": sorted(versions)}))

    def get(self, path, headers):
        place = self.root / path.lstrip("/")
        if ".." in path:
            return 404, "text/plain", b"Not found\n"
        if place.is_file():
            return 200, "application/octet-stream", place.read_bytes()
        if "vnd.pypi.simple.v1+json" in headers.get("accept", "") and (place / "index.v1_json").is_file():
            return 200, "application/vnd.pypi.simple.v1+json", (place / "index.v1_json").read_bytes()
        if (place / "index.html").is_file():
            return 200, "text/html", (place / "index.html").read_bytes()
        return 404, "text/plain", b"Not found\n"


class Crates:
    """hay 1.0.0, 1.1.0 (old), 1.1.1 (yanked), 1.2.0 (young); evil."""

    def __init__(self):
        self.files = {"/index/config.json": json.dumps({"dl": f"http://{HOSTS['crates']}/dl"}).encode()}
        self.crate("hay", {"1.0.0": OLD, "1.1.0": OLD, "1.1.1": OLD, "1.2.0": YOUNG}, {"1.1.1"})
        self.crate("evil", {"1.0.0": OLD})

    def crate(self, name, versions, yanked=frozenset()):
        lines = []
        for version, when in versions.items():
            data = tar_gz({f"{name}-{version}/Cargo.toml": f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n',
                           f"{name}-{version}/src/lib.rs": f'pub const VERSION: &str = "{version}";\n'})
            self.files[f"/dl/{name}/{version}/download"] = data
            lines.append(json.dumps({"name": name, "vers": version, "deps": [], "features": {}, "yanked": version in yanked,
                                     "cksum": hashlib.sha256(data).hexdigest(), "pubtime": stamp(when)[:19] + "Z"}))
        directory = f"{len(name)}/{name[0]}" if len(name) == 3 else f"{name[:2]}/{name[2:4]}"
        self.files[f"/index/{directory}/{name}"] = ("\n".join(lines) + "\n").encode()

    def get(self, path, headers):
        if path not in self.files:
            return 404, "text/plain", b"Not found\n"
        return 200, "application/json" if path.endswith(".json") else "text/plain", self.files[path]


class Apt:
    """hay 1.0, straw 1.0 (of the source barn), evil 1.0, in an archive without suites, and with a pool."""

    def __init__(self, directory):
        self.root = directory / "apt"
        for name, source, version in (("hay", "hay", "1.0-1"), ("straw", "barn", "1.0-1"), ("evil", "evil", "1.0-1")):
            tree = directory / f"deb-{name}"
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "usr/share" / name).mkdir(parents=True)
            (tree / "usr/share" / name / "text").write_text(name + "\n")
            (tree / "DEBIAN/control").write_text(f"Package: {name}\nSource: {source}\nVersion: {version}\nArchitecture: all\n"
                                                  f"Maintainer: T <t@example.test>\nDescription: {name}\n")
            pool = self.root / "flat/pool/main" / source[0] / source
            pool.mkdir(parents=True, exist_ok=True)
            subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, pool / f"{name}_{version}_all.deb"], check=True,
                           stdout=subprocess.DEVNULL)
        packages = subprocess.run(["dpkg-scanpackages", "-m", "flat/pool"], cwd=self.root, check=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL).stdout
        (self.root / "flat/Packages").write_bytes(packages)
        digest = hashlib.sha256(packages).hexdigest()
        (self.root / "flat/Release").write_text(f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S UTC', time.gmtime())}\nSHA256:\n"
                                           f" {digest} {len(packages)} Packages\n")

    def get(self, path, headers):
        file = self.root / path.lstrip("/")
        if ".." in path or not file.is_file():
            return 404, "text/plain", b"Not found\n"
        return 200, "application/octet-stream", file.read_bytes()


class Git:
    """acme/site.git and acme/other.git; main has two commits, agent/old has one."""

    def __init__(self, directory):
        self.root = directory / "git"
        work = directory / "work"
        self.git("init", "-q", "-b", "main", work)
        for n in (1, 2):
            (work / f"file{n}").write_text(f"{n}\n" * 50)
            self.git("-C", work, "add", ".")
            self.git("-C", work, "commit", "-q", "-m", f"commit {n}")
            if n == 1:
                self.git("-C", work, "branch", "agent/old")
        for name in ("site", "other"):
            repository = self.root / "acme" / f"{name}.git"
            self.git("clone", "-q", "--bare", work, repository)
            self.git("-C", repository, "config", "http.receivepack", "true")
            self.git("-C", repository, "config", "receive.denyNonFastForwards", "false")

    @staticmethod
    def git(*arguments):
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.test"]
        return subprocess.run(["git", *identity, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout

    def refs(self, name="site"):
        out = self.git("-C", self.root / "acme" / f"{name}.git", "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split() for line in out.splitlines())

    def serve(self, handler, body):
        path, _, query = handler.path.partition("?")
        env = {**os.environ, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "QUERY_STRING": query, "REQUEST_METHOD": handler.command, "REMOTE_USER": "t", "REMOTE_ADDR": "127.0.0.1",
               "CONTENT_TYPE": handler.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
               "HTTP_CONTENT_ENCODING": handler.headers.get("content-encoding", ""),
               "GIT_PROTOCOL": handler.headers.get("git-protocol", "")}
        out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        status, fields = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                status = int(value.split()[0])
            elif name:
                fields.append((name, value))
        handler.send_response(status)
        for name, value in fields:
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest)


class Registries:
    def __init__(self, directory, address="127.0.0.1"):
        directory = pathlib.Path(directory)
        self.log = []
        self.ca, leaf, key = pki.make(directory, HOSTS.values())
        self.git = Git(directory)
        self.kinds = {HOSTS["npm"]: Npm(), HOSTS["pypi"]: Pypi(directory), HOSTS["crates"]: Crates()}
        if shutil.which("dpkg-scanpackages"):
            self.kinds[HOSTS["apt"]] = Apt(directory)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self):
                if self.headers.get("transfer-encoding", "") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length") or 0))
                out = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    out += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return out

            def answer(self):
                try:
                    self.reply()
                except BrokenPipeError:      # the gate has ended it
                    self.close_connection = True

            def reply(self):
                host = self.headers.get("host", "").split(":")[0]
                try:
                    body = self.body()
                except ValueError:
                    self.close_connection = True
                    return
                outer.log.append((host, self.command, self.path, len(body)))
                if host == HOSTS["code"]:
                    outer.git.serve(self, body)
                    return
                stand_in, path = outer.kinds[host], self.path.split("?")[0]
                if self.command == "PUT":
                    status, kind, data = stand_in.put(path, self.headers, body)
                else:
                    status, kind, data = stand_in.get(path, self.headers)
                if isinstance(self.connection, ssl.SSLSocket):
                    data = data.replace(b"http://" + host.encode(), b"https://" + host.encode())
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_PUT = answer

            def log_message(self, *arguments):
                pass

        self.servers = [http.server.ThreadingHTTPServer((address, 0), Handler) for _ in range(2)]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(leaf, key)
        self.servers[1].socket = tls.wrap_socket(self.servers[1].socket, server_side=True, do_handshake_on_connect=False)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def options(self):
        address = self.servers[0].server_address[0]
        ports = [(port, server.server_address[1]) for port, server in zip((80, 443), self.servers, strict=True)]
        return ["--upstream-ca", str(self.ca)] + [
            o for host in HOSTS.values() for port, real in ports for o in ("--resolve", f"{host}:{port}:{address}:{real}")]

    def asked(self, kind, needle=""):
        return [row for row in self.log if row[0] == HOSTS[kind] and needle in row[2]]

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
