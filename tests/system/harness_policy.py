"""The policy in force: found, trusted, never written from inside, reloaded by the user's hand only (I5)."""
import subprocess
import time

from paddock import check, finish, sandbox, wait_for, world

ALLOW = """\
version: 1
network:
  - hosts: [api.example.test]
    methods: [GET]
    addresses: [127.0.0.0/8]
"""
DENY = "version: 1\n"

ATTACKS = r"""
cd "$1"
try() { if (eval "$2") 2>/dev/null; then echo "WENT $1"; else echo "refused $1"; fi; }
try write 'echo x >> paddock.yaml'
try truncate ': > paddock.yaml'
try remove 'rm -f paddock.yaml; test ! -e paddock.yaml'
try rename-away 'mv paddock.yaml other.yaml'
try rename-over 'echo "version: 1" > new.yaml; mv -f new.yaml paddock.yaml'
try hard-link 'ln paddock.yaml link.yaml && echo x >> link.yaml'
try chmod 'chmod 666 paddock.yaml'
try touch 'touch -d 2000-01-01 paddock.yaml'
try create-deep 'mkdir -p a/b && echo x > a/b/paddock.yaml'
try symlink-named 'ln -s /tmp/x a/paddock.yaml'
try mkdir-named 'mkdir -p a/b/paddock.yaml'
try rename-into 'echo x > a/plain; mv a/plain a/paddock.yaml'
try case 'echo x > a/PADDOCK.YAML'
try ancestor-move 'mv deep moved'
try ancestor-replace 'mkdir repl; mv -T repl deep'
try exchange 'python3 -c "
import ctypes,os
l=ctypes.CDLL(None,use_errno=True)
open(\"swap\",\"w\").write(\"x\")
import sys
sys.exit(0 if l.renameat2(-100,b\"swap\",-100,b\"paddock.yaml\",2)==0 else 1)"'
ln -s paddock.yaml alias.yaml 2>/dev/null
try through-symlink 'echo x >> alias.yaml'
try open-trunc 'python3 -c "open(\"paddock.yaml\",\"r+\").truncate(0)"'
try git-hook 'echo "#!/bin/sh" > .git/hooks/post-commit'
try git-config 'git config core.fsmonitor /tmp/x'
try git-config-rename 'mv .git/config .git/config2'
try git-dir-rename 'mv .git .git2'
try env-file 'cat .env'
try env-create 'echo X=1 > sub.env; mv sub.env .env.local'
ls -A | tr '\n' ' '
"""


def attacks(s):
    s.policy.rename(s.workspace / "paddock.yaml")
    s.policy = s.workspace / "paddock.yaml"
    before = s.policy.read_bytes()
    (s.workspace / "deep" / "er").mkdir(parents=True)
    (s.workspace / "deep" / "er" / "paddock.yaml").write_text("version: 1\n")
    (s.workspace / ".env").write_text("SECRET=1\n")
    subprocess.run(["git", "init", "-q", str(s.workspace)], check=True)
    config = (s.workspace / ".git/config").read_bytes()
    (s.root / "attacks.sh").write_text(ATTACKS)
    (s.workspace / "attacks.sh").write_text(ATTACKS)
    r = s.run(["sh", "attacks.sh", str(s.workspace)], "--quiet")
    for line in r.stdout.splitlines():
        if line.startswith(("WENT", "refused")):
            verdict, name = line.split()
            check(f"from inside: {name}: refused", verdict == "refused", r.stdout + r.stderr)
    check("all attacks were tried", r.stdout.count("refused") + r.stdout.count("WENT") == 24,
          (r.stdout, r.stderr))
    check("a hidden file is not in the listing", " .env " not in " " + r.stdout.splitlines()[-1] + " " if r.stdout else False,
          r.stdout)
    check("the policy is byte for byte what it was", s.policy.read_bytes() == before)
    check("git's configuration too", (s.workspace / ".git/config").read_bytes() == config)
    check("no other policy file came to be",
          sorted(p.relative_to(s.workspace).as_posix() for p in s.workspace.rglob("*")
                 if p.name.lower() == "paddock.yaml") == ["deep/er/paddock.yaml", "paddock.yaml"])
    check("a rule that fired is in the trail", any(x.get("claim") == "file" for x in s.records("claim")), s.records("claim")[:5])


def ordinary_git(s):
    r = s.sh("git init -q new && cd new && git config user.email a@b && git config user.name n && echo 1 > f && git add f && "
             "git commit -qm one && git log --oneline | wc -l && cd .. && git clone -q new copy && cat copy/f")
    check("git works in repositories made inside", r.returncode == 0 and "1" in r.stdout, (r.stdout, r.stderr))
    check("and the summary names them, to be looked at", "new" in r.stderr and "repository" in r.stderr, r.stderr)


def trust(s):
    (s.workspace / "paddock.yaml").write_text(ALLOW)
    s.policy = None
    get = ["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "https://api.example.test/public"]
    env = {**s.env, "XDG_CONFIG_HOME": str(s.root / "config")}
    r = s.run(get, env=env)
    check("a policy found in the workspace is not used untrusted, and the message says how to start",
          r.stdout != "200" and "paddock policy trust" in r.stderr, (r.stdout, r.stderr))
    t = subprocess.run([s.program(), "policy", "trust"], cwd=s.workspace, env=env, text=True, capture_output=True, timeout=30)
    check("paddock policy trust", t.returncode == 0, (t.stdout, t.stderr))
    r = s.run(get, env=env)
    check("once trusted it is used", r.stdout == "200", (r.stdout, r.stderr))
    with open(s.workspace / "paddock.yaml", "a") as f:
        f.write("# changed\n")
    r = s.run(get, env=env)
    check("changed, it is not trusted any more", r.stdout != "200", (r.stdout, r.stderr))
    (s.workspace / "paddock.yaml").unlink()
    r = s.run(get, env=env)
    check("without any policy everything is denied and `paddock init` is named",
          r.stdout != "200" and "paddock init" in r.stderr, (r.stdout, r.stderr))


def reload_found(s):
    """A policy that was found in the workspace and trusted: what comes in its place is trusted too, or not in force."""
    found = s.workspace / "paddock.yaml"
    found.write_text(DENY)
    s.policy = None
    env = {**s.env, "XDG_CONFIG_HOME": str(s.root / "config")}

    def trust_it():
        return subprocess.run([s.program(), "policy", "trust", str(found)], env=env, text=True, capture_output=True, timeout=30)
    trust_it()
    loop = ("while :; do c=$(curl -sS -m 5 -o /dev/null -w '%{http_code}' https://api.example.test/public 2>/dev/null); "
            "echo $c > status; sleep 0.2; done")
    p = s.start(["sh", "-c", loop], "--quiet", env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True)

    def status():
        f = s.workspace / "status"
        return f.read_text().strip() if f.exists() else ""
    wait_for(status, 30)
    check("a trusted policy of the workspace denies", status() == "000", status())
    found.write_text(ALLOW)      # as `git checkout` of a branch that the agent made does
    time.sleep(3)
    check("changed on the host without being trusted, it stays as it was", status() == "000", status())
    r = trust_it()
    check("trusted, the change takes effect in the run", wait_for(lambda: status() == "200", 15), (status(), r.stderr))
    p.terminate()
    _, err = p.communicate(timeout=40)
    check("and what to do was said, once", err.count("is not trusted") == 1 and "paddock policy trust" in err, err)


def reload(s):
    s.set_policy(DENY)
    loop = ("while :; do c=$(curl -sS -m 5 -o /dev/null -w '%{http_code}' https://api.example.test/public 2>/dev/null); "
            "echo $c > status; sleep 0.2; done")
    p = s.start(["sh", "-c", loop], "--quiet", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True)

    def status():
        f = s.workspace / "status"
        return f.read_text().strip() if f.exists() else ""
    wait_for(status, 30)
    check("denied at first", status() == "000", status())
    s.policy.write_text(ALLOW)
    check("a change of the loaded file takes effect", wait_for(lambda: status() == "200", 10), status())
    s.policy.write_text("version: 1\nnonsense: true\n")
    time.sleep(1.5)
    check("a change that is not valid leaves the one in force", status() == "200", status())
    p.terminate()
    _, err = p.communicate(timeout=40)
    check("and says where it is wrong", "policy.yaml:2:1" in err, err)
    check("both are in the trail", len(s.records("reload")) >= 1, s.records("reload"))


with world() as w:
    with sandbox("policy", w, ALLOW) as s:
        attacks(s)
    with sandbox("git", w, ALLOW) as s:
        ordinary_git(s)
    with sandbox("trust", w) as s:
        trust(s)
    with sandbox("reload", w) as s:
        reload(s)
    with sandbox("found", w) as s:
        reload_found(s)
finish()
