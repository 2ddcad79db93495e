"""The sealed store with its key in the kernel: made, used by the keeper, moved to a file and back, forgotten."""
import ctypes
import json
import os
import pathlib

from paddock import check, finish, sandbox, skip, world

HOST = "api.example.test"
POLICY = f"""\
version: 1
network:
  - {{hosts: [{HOST}], methods: [GET], credential: api, addresses: [127.0.0.0/8]}}
credentials:
  api:
    source: {{sealed: api-key}}
    hosts: [{HOST}]
    strategy: header
    header: {{name: authorization, format: "Bearer {{secret}}"}}
"""
STATUS = f"curl -s -o /dev/null -w '%{{http_code}}' https://{HOST}/items"
NAME = b"paddock-seal"
# keyctl(2), for the machines of this project's tests: x86-64 and those that share the generic table
ADD_KEY, KEYCTL = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
USER_KEYRING, SEARCH, UNLINK = ctypes.c_int(-4), 10, 9
libc = ctypes.CDLL(None, use_errno=True)


def find():
    """The key's number, or 0."""
    return max(libc.syscall(KEYCTL, SEARCH, USER_KEYRING, b"user", NAME, 0), 0)


def forget():
    """What a reboot does."""
    if key := find():
        libc.syscall(KEYCTL, UNLINK, ctypes.c_int(key), USER_KEYRING)


def available():
    key = libc.syscall(ADD_KEY, b"user", b"paddock-test", b"x", ctypes.c_size_t(1), USER_KEYRING)
    if key > 0:
        libc.syscall(KEYCTL, UNLINK, ctypes.c_int(key), USER_KEYRING)
    return key > 0, os.strerror(ctypes.get_errno())


def permissions():
    """Of the key, as /proc/keys has them."""
    rows = [line.split() for line in pathlib.Path("/proc/keys").read_text().splitlines() if NAME.decode() in line]
    return [row[4] for row in rows if int(row[0], 16) == find()]


def status(s):
    r = s.sh(STATUS, "--quiet")
    return r.stdout or str(r.returncode), r.stderr


def opens(s):
    return [x["opens"] for x in json.loads(s.paddock("credential", "list", "--json").stdout)]


def main(w, s):
    token = w.info["tokens"]["api"]
    store = pathlib.Path(s.env["XDG_CONFIG_HOME"]) / "paddock"
    entry, key_file = store / "sealed" / "api-key", store / "seal.key"
    r = s.paddock("credential", "seal", "api-key", "--keyring", input=token + "\n")
    check("a value is sealed by a key in the kernel, and it is said that a reboot forgets it",
          r.returncode == 0 and "a reboot forgets it" in r.stderr and token not in r.stdout + r.stderr, (r.stdout, r.stderr))
    check("the key is in no file, nor is the value", not key_file.exists() and
          not any(token.encode() in f.read_bytes() for f in store.rglob("*") if f.is_file()), list(store.rglob("*")))
    check("the key is for this user alone", permissions() == ["3f0b0000"], permissions())
    got, said = status(s)
    check("the keeper opens it", got == "200", (got, said))

    before, sealed_by = entry.read_text(), find()
    r = s.paddock("credential", "rotate-key", "--keyring")
    check("a new key in the kernel seals everything again", r.returncode == 0 and entry.read_text() != before, r.stderr)
    check("which opens", status(s)[0] == "200" and opens(s) == [True], sealed_by)

    r = s.paddock("credential", "rotate-key")
    check("a new key in a file ends the one in the kernel", r.returncode == 0 and key_file.exists() and find() == 0, r.stderr)
    check("and opens", status(s)[0] == "200", opens(s))
    r = s.paddock("credential", "rotate-key", "--keyring")
    check("and back", r.returncode == 0 and not key_file.exists() and find() > 0 and status(s)[0] == "200", r.stderr)

    forget()
    before = len(w.requests())
    check("without the key nothing opens", opens(s) == [False], opens(s))
    got, said = status(s)
    check("and a request that needs it is refused, in words", got == "503" and "seal" in said, (got, said))
    check("nothing of it leaves", before > 0 and len(w.requests()) == before, w.requests()[before:])


good, why = available()
if good:
    forget()
    try:
        with world() as w, sandbox("keyring", w, POLICY) as s:
            s.env["XDG_CONFIG_HOME"] = str(s.root / "config")
            main(w, s)
    finally:
        forget()
else:
    skip("the sealed store with its key in the kernel", f"this kernel has no keyring for the user: {why}")
finish()
