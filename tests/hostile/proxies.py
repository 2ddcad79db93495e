"""proxies.py - Debian's nginx and HAProxy, unprivileged on loopback: they end TLS and hand on to a recording backend

Each tells the backend in fields of its own what it took the request for: X-Seen-Method, -Host, -Path (decoded, where the
proxy decodes), -Query.
"""
import pathlib
import socket
import subprocess
import time

NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error crit;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  large_client_header_buffers 16 64k;
  client_max_body_size 0;
  ignore_invalid_headers off;
  underscores_in_headers on;
  server {{
    listen 127.0.0.1:{tls} ssl{http2};
    listen 127.0.0.1:{plain};
    ssl_certificate {leaf}; ssl_certificate_key {key};
    location / {{
      proxy_pass http://127.0.0.1:{backend};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Connection close;
      proxy_set_header X-Seen-Method $request_method;
      proxy_set_header X-Seen-Host $host;
      proxy_set_header X-Seen-Path $uri;
      proxy_set_header X-Seen-Query $args;
      proxy_set_header X-Seen-Version $server_protocol;
    }}
  }}
}}
"""
HAPROXY = """\
global
  maxconn 512
  tune.bufsize 262144
  tune.maxrewrite 65536
  tune.http.maxhdr 256
  tune.ssl.default-dh-param 2048
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
  option http-server-close
frontend tls
  bind 127.0.0.1:{tls} ssl crt {dir}/both.pem alpn {alpn}
  bind 127.0.0.1:{plain}
  http-request set-header X-Seen-Method %[method]
  http-request set-header X-Seen-Host %[req.hdr(host)]
  http-request set-header X-Seen-Path %[path]
  http-request set-header X-Seen-Query %[query]
  http-request set-header X-Seen-Version HTTP/%[req.ver]
  default_backend recorder
backend recorder
  server recorder 127.0.0.1:{backend}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Proxy:
    """`name` is nginx or haproxy; `h2` lets the other side choose HTTP/2."""

    def __init__(self, name, directory, leaf, key, backend, h2):
        self.name, self.dir = name, pathlib.Path(directory) / f"{name}-{'h2' if h2 else 'h1'}"
        self.dir.mkdir()
        self.tls, self.plain = free_port(), free_port()
        values = {"dir": self.dir, "tls": self.tls, "plain": self.plain, "leaf": leaf, "key": key, "backend": backend,
                  "http2": " http2" if h2 else "", "alpn": "h2,http/1.1" if h2 else "http/1.1"}
        (self.dir / "both.pem").write_text(pathlib.Path(leaf).read_text() + pathlib.Path(key).read_text())
        configuration = self.dir / "configuration"
        configuration.write_text((NGINX if name == "nginx" else HAPROXY).format(**values))
        command = (["/usr/sbin/nginx", "-e", f"{self.dir}/nginx.error", "-p", str(self.dir), "-c", str(configuration)]
                   if name == "nginx" else ["/usr/sbin/haproxy", "-db", "-q", "-f", str(configuration)])
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=(self.dir / "stderr").open("w"))
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.tls), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start: {(self.dir / 'stderr').read_text()}")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
