"""credentials.py - services that want credentials in every place, on loopback: each notes what it was asked with.

One HTTPS server (certificates made with openssl) that is, by Host: an API that records, token endpoints that keep to
OAuth's rules (a refresh token that is used twice is theft, and ends the login), an AWS service that verifies
signatures, and one that asks for a client certificate.
"""
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse
import uuid

AWS_KEY, AWS_SECRET, AWS_TOKEN = "AKIAREALKEY0123456789", "realSecretKey/0123456789+abcdefghijklmnop", "session-token-0123456789abcdef"
CLIENT_SECRET = "client-secret-0123456789"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_pki(directory, hosts):
    d = pathlib.Path(directory)
    d.mkdir(parents=True, exist_ok=True)
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl(*new, "-keyout", f"{d}/ca.key", "-out", f"{d}/ca.pem", "-subj", "/CN=test CA")
    for name, subject, extra in (("server", "/CN=server", "subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts)),
                                 ("client", "/CN=agent-client", "extendedKeyUsage=clientAuth"),
                                 ("renewed", "/CN=agent-renewed", "extendedKeyUsage=clientAuth")):
        openssl(*new, "-CA", f"{d}/ca.pem", "-CAkey", f"{d}/ca.key", "-keyout", f"{d}/{name}.key", "-out", f"{d}/{name}.pem",
                "-subj", subject, "-addext", extra, "-addext", "basicConstraints=critical,CA:FALSE")
    for name in ("client", "renewed"):
        (d / f"{name}-both.pem").write_text((d / f"{name}.pem").read_text() + (d / f"{name}.key").read_text())
    return d


class Provider:
    """An OAuth provider: tokens by several grants, rotated refresh tokens, theft."""

    def __init__(self):
        self.lock = threading.Lock()
        self.refresh = {}           # refresh token -> family, or None once it is used
        self.dead = set()           # families that a theft ended
        self.access = {}            # access token -> (family, expires)
        self.life = 3600
        self.thefts = 0
        self.fail = None            # (status, body, type) for the next answers
        self.delay = 0

    def issue(self, family, prefix="access-"):
        token = prefix + uuid.uuid4().hex
        self.access[token] = (family, time.time() + self.life)
        return token

    def login(self, family, prefix="refresh-"):
        token = prefix + uuid.uuid4().hex
        self.refresh[token] = family
        return token

    def good(self, token):
        family, expires = self.access.get(token, (None, 0))
        return family is not None and family not in self.dead and expires > time.time()

    def use_refresh(self, token, prefixes=("access-", "refresh-")):
        time.sleep(self.delay)
        with self.lock:
            if token not in self.refresh:
                return 400, {"error": "invalid_grant"}
            family = self.refresh[token]
            if family is None or family in self.dead:
                self.thefts += 1
                self.dead.update(f for f in self.refresh.values() if f)
                return 400, {"error": "invalid_grant", "error_description": "reuse"}
            self.refresh[token] = None
            return 200, {"access_token": self.issue(family, prefixes[0]), "refresh_token": self.login(family, prefixes[1]),
                         "token_type": "Bearer", "expires_in": self.life}


class Services:
    HOSTS = ["api.creds.test", "other.creds.test", "id.creds.test", "mtls.creds.test", "s3.us-east-1.amazonaws.com",
             "sts.us-east-1.amazonaws.com", "bucket.s3.us-east-1.amazonaws.com", "platform.claude.com", "console.anthropic.com",
             "api.anthropic.com", "auth.openai.com", "chatgpt.com", "api.github.com", "oauth2.googleapis.com"]

    def __init__(self, directory):
        self.pki = make_pki(directory, self.HOSTS)
        self.asked = []
        self.provider = Provider()
        self.clients = {"svc": CLIENT_SECRET}
        self.keys = {}              # issuer -> public key PEM path, for assertions
        self.big = b"".join(i.to_bytes(4, "big") for i in range(5 << 20))      # 20 MiB
        self.ports = {}
        for name, client in (("plain", False), ("mtls", True)):
            self.ports[name] = self.serve(client)

    def serve(self, client):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki / "server.pem", self.pki / "server.key")
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.pki / "ca.pem")
        services = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_all(self):
                services.handle(self)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_all

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

            def get_request(self):
                s, address = super().get_request()
                s.settimeout(30)
                return context.wrap_socket(s, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_address[1]

    def options(self):
        return ["--upstream-ca", str(self.pki / "ca.pem"), *self.options_for(*self.HOSTS)]

    def options_for(self, *hosts):
        out = []
        for host in hosts:
            out += ["--resolve", f"{host}:443:127.0.0.1:{self.ports['mtls' if host.startswith('mtls') else 'plain']}"]
        return out

    def forget(self):
        self.asked.clear()

    def of(self, host):
        return [r for r in self.asked if r["host"] == host]

    # ---- one request ----

    def body(self, h):
        if "chunked" in (h.headers.get("transfer-encoding") or ""):
            out = b""
            while True:
                n = int(h.rfile.readline().split(b";")[0], 16)
                out += h.rfile.read(n)
                h.rfile.readline()
                if n == 0:
                    return out
        length = int(h.headers.get("content-length") or 0)
        body = h.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("cut off: nothing that a server would act on")
        return body

    def handle(self, h):
        body = self.body(h)
        host = (h.headers.get("host") or "").split(":")[0]
        row = {"host": host, "method": h.command, "target": h.path, "headers": {k.lower(): v for k, v in h.headers.items()},
               "body": body, "port": h.client_address[1],
               "client": dict(x[0] for x in (h.connection.getpeercert() or {}).get("subject", ())).get("commonName")}
        self.asked.append(row)
        path, more = h.path.split("?")[0], {}
        if host.endswith("amazonaws.com"):
            status, answer = self.aws(row)
            if status == 200 and path == "/big":
                status, answer, more = self.object(row)
        elif (host, path) in (("platform.claude.com", "/v1/oauth/token"), ("console.anthropic.com", "/v1/oauth/token")):
            status, answer = self.claude(row)
        elif (host, path) == ("auth.openai.com", "/oauth/token"):
            status, answer = self.codex(row)
        elif host == "id.creds.test" or (host, path) == ("oauth2.googleapis.com", "/token"):
            status, answer = self.token(row)
        elif host == "api.github.com" and path.endswith("/access_tokens"):
            status, answer = self.github(row)
        elif path == "/bearer":
            token = row["headers"].get("authorization", "").removeprefix("Bearer ")
            status, answer = (200, {"ok": True}) if self.provider.good(token) else (401, {"error": "bad token"})
        else:
            status, answer = 200, {"ok": True}
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        h.send_response(status)
        for name, value in {"content-type": "application/json", **more}.items():
            h.send_header(name, value)
        h.send_header("content-length", str(len(data)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(data)

    # ---- token endpoints ----

    def token(self, row):
        p = self.provider
        if p.fail:
            return p.fail
        form = dict(urllib.parse.parse_qsl(row["body"].decode()))
        row["form"] = form
        authorization = row["headers"].get("authorization", "")
        if authorization.startswith("Basic "):
            client, secret = (urllib.parse.unquote(x) for x in base64.b64decode(authorization[6:]).decode().split(":", 1))
        else:
            client, secret = form.get("client_id"), form.get("client_secret")
        grant = form.get("grant_type", "")
        if grant == "client_credentials":
            if self.clients.get(client) != secret:
                return 401, {"error": "invalid_client"}
            return 200, {"access_token": p.issue("svc"), "token_type": "Bearer", "expires_in": p.life}
        if grant == "refresh_token":
            return p.use_refresh(form["refresh_token"])
        if grant.endswith("token-exchange"):
            ok = form.get("subject_token") == "subject-token-0123456789" and form.get("actor_token") == "actor-token-0123456789"
            return (200, {"access_token": p.issue("exchanged"), "issued_token_type": "x", "token_type": "Bearer",
                          "expires_in": p.life}) if ok else (400, {"error": "invalid_request"})
        if grant.endswith("jwt-bearer"):
            claims = self.verify(form["assertion"])
            return (200, {"access_token": p.issue("jwt"), "expires_in": p.life}) if claims else (400, {"error": "invalid_grant"})
        return 400, {"error": "unsupported_grant_type"}

    def verify(self, jwt):
        """The claims of an RS256 assertion by a key that is known, or None."""
        signing, signature = jwt.rsplit(".", 1)

        def decode(s):
            return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
        header, claims = (json.loads(decode(x)) for x in signing.split("."))
        key = self.keys.get(claims.get("iss"))
        if header.get("alg") != "RS256" or not key or not claims["iat"] <= time.time() + 5 < claims["exp"]:
            return None
        data, sig = self.pki / f"{uuid.uuid4().hex}.d", self.pki / f"{uuid.uuid4().hex}.s"
        data.write_text(signing)
        sig.write_bytes(decode(signature))
        good = subprocess.run(["openssl", "dgst", "-sha256", "-verify", key, "-signature", sig, data],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        return claims if good else None

    def github(self, row):
        claims = self.verify(row["headers"].get("authorization", "").removeprefix("Bearer "))
        row["claims"] = claims
        if not claims or claims["exp"] - claims["iat"] > 600:
            return 401, {"message": "A JSON web token could not be decoded"}
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return 201, {"token": self.provider.issue("github", "ghs_"), "expires_at": until}

    def claude(self, row):
        p, asked = self.provider, json.loads(row["body"])
        row["form"] = asked
        if p.fail:
            return p.fail
        if asked.get("client_id") != "9d1c250a-e61b-44d9-88ed-5944d1962f5e" or asked.get("grant_type") != "refresh_token":
            return 400, {"error": "invalid_request"}
        return p.use_refresh(asked["refresh_token"], ("sk-ant-oat01-", "sk-ant-ort01-"))

    def codex(self, row):
        p, asked = self.provider, json.loads(row["body"])
        row["form"] = asked
        status, answer = p.use_refresh(asked.get("refresh_token"), ("x", "rt_"))
        if status == 200:
            del answer["expires_in"]
            answer["access_token"] = jwt({"exp": int(time.time()) + p.life, "n": uuid.uuid4().hex})
            answer["id_token"] = jwt({"email": "ann@example.test", "exp": int(time.time()) + p.life})
            p.access[answer["access_token"]] = ("codex", time.time() + p.life)
        return status, answer

    # ---- AWS ----

    def object(self, row):
        """An object of S3's, or a part of it; no two parts are alike."""
        asked = row["headers"].get("range")
        more = {"content-type": "binary/octet-stream", "accept-ranges": "bytes", "etag": '"0123456789abcdef0123456789abcdef"',
                "last-modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
        if not asked:
            return 200, self.big, more
        first, _, last = asked.removeprefix("bytes=").partition("-")
        first, last = int(first), min(int(last or len(self.big) - 1), len(self.big) - 1)
        return 206, self.big[first:last + 1], {**more, "content-range": f"bytes {first}-{last}/{len(self.big)}"}

    def aws(self, row):
        """Verified as AWS's documentation says, over exactly what arrived."""
        headers, (path, _, query) = row["headers"], row["target"].partition("?")
        given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        presigned = "X-Amz-Signature" in given
        if presigned:
            scope, signed, got, date = (given[f"X-Amz-{n}"] for n in ("Credential", "SignedHeaders", "Signature", "Date"))
            token = given.get("X-Amz-Security-Token")
        elif headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            parts = dict(p.strip().split("=", 1) for p in headers["authorization"][17:].split(","))
            scope, signed, got, date = parts["Credential"], parts["SignedHeaders"], parts["Signature"], headers["x-amz-date"]
            token = headers.get("x-amz-security-token")
        else:
            return 403, {"code": "MissingAuthenticationToken"}
        key, day, region, service, _ = scope.split("/")
        row["service"], names = service, signed.split(";")
        if key != AWS_KEY or token != AWS_TOKEN:
            return 403, {"code": "InvalidClientTokenId"}
        if any(h.startswith("x-amz-") and h not in names for h in headers) or "host" not in names:
            return 403, {"code": "unsigned header"}
        body_hash = hashlib.sha256(row["body"]).hexdigest()
        stated = headers.get("x-amz-content-sha256") or ("UNSIGNED-PAYLOAD" if presigned and service == "s3" else body_hash)
        if len(stated) == 64 and stated != body_hash:
            return 403, {"code": "XAmzContentSHA256Mismatch"}
        uri = path if service == "s3" else urllib.parse.quote(path, safe="/~-_.")
        pairs = sorted(p if "=" in p else p + "=" for p in query.split("&") if p and not p.startswith("X-Amz-Signature="))
        canonical = "\n".join([row["method"], uri, "&".join(pairs),
                               "".join(f"{n}:{' '.join(headers.get(n, '').split())}\n" for n in names), signed, stated])
        text = "\n".join(["AWS4-HMAC-SHA256", date, f"{day}/{region}/{service}/aws4_request",
                          hashlib.sha256(canonical.encode()).hexdigest()])
        secret = ("AWS4" + AWS_SECRET).encode()
        for part in (day, region, service, "aws4_request"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        if hmac.new(secret, text.encode(), hashlib.sha256).hexdigest() != got:
            return 403, {"code": "SignatureDoesNotMatch", "canonical": canonical}
        row["good"] = True
        if service == "sts":
            return 200, (b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
                         b"<Arn>arn:aws:iam::1:user/t</Arn><UserId>U</UserId><Account>1</Account></GetCallerIdentityResult>"
                         b"</GetCallerIdentityResponse>")
        return 200, b""


def jwt(claims):
    def encode(o):
        return base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b"=").decode()
    return f"{encode({'alg': 'RS256', 'typ': 'JWT'})}.{encode(claims)}.{base64.urlsafe_b64encode(b's' * 64).rstrip(b'=').decode()}"
