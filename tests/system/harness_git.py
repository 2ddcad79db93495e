"""git over HTTP through rules that speak git: what may be cloned, what may be pushed where, and what git says of it."""
import tempfile

from paddock import check, finish, sandbox
from registries import HOSTS, Registries

POLICY = f"""\
version: 1
network:
  - name: ours
    hosts: [{HOSTS['code']}]
    schemes: [http]
    addresses: [127.0.0.0/8]
    git:
      repositories: ["acme/*"]
      access: [fetch, push]
      push: [acme/site]
      refs: ["agent/*"]
      pack_max: 1MiB
"""

BEGIN = f"""\
cd "$HOME"; rm -rf site
git config --global user.name T; git config --global user.email t@example.test
git clone -q http://{HOSTS['code']}/acme/site.git && cd site
"""


def said(r):
    return r.returncode, r.stdout[-1500:], r.stderr[-2500:]


with tempfile.TemporaryDirectory(prefix="paddock-git-") as directory, sandbox("git", policy=POLICY) as s:
    servers = Registries(directory)
    before = servers.git.refs()

    def git(script):
        return s.sh(BEGIN + script, "--quiet", *servers.options())

    r = git("cat file2 | head -1; git -c protocol.version=0 ls-remote -q origin main | cut -c1-2 | wc -l; "
            f"git clone -q --depth 1 http://{HOSTS['code']}/acme/other.git ../other && echo shallow")
    check("clone, full and shallow, of what the rule names", "2\n" in r.stdout and "shallow" in r.stdout, said(r))
    r = s.sh(f"git clone http://{HOSTS['code']}/evil/site.git x", "--quiet", *servers.options())
    check("a repository that no rule names is refused, in words",
          r.returncode != 0 and "403" in r.stderr and "remote: Paddock" in r.stderr, said(r))

    r = git("git checkout -q -b agent/new && echo x > new && git add new && git commit -q -m new && git push -q origin agent/new")
    after = servers.git.refs()
    check("a new branch where the rule allows", r.returncode == 0 and "refs/heads/agent/new" in after, said(r))
    rows = [o for o in s.records("outcome") if "git_refs" in o]
    check("the trail has the ref that it changed",
          any(" refs/heads/agent/new" in ref and ref.startswith("create ") for o in rows for ref in o["git_refs"]), rows)
    rows = [i for i in s.records("intent") if i.get("git_service") == "push"]
    check("and the repository, and who asked", rows and all(i["git_repository"] == "acme/site" for i in rows), rows[:1])

    r = git("git checkout -q agent/new && echo y >> new && git commit -q -a -m more && git push -q origin agent/new")
    check("a fast-forward", r.returncode == 0 and servers.git.refs()["refs/heads/agent/new"] != after["refs/heads/agent/new"], said(r))

    r = git("echo x > main && git add main && git commit -q -m x && git push origin main")
    check("main is refused, and git prints why beside it",
          r.returncode != 0 and "[remote rejected] main -> main (Paddock" in r.stderr and "not among the refs" in r.stderr, said(r))
    check("nothing of it arrived", servers.git.refs()["refs/heads/main"] == before["refs/heads/main"])

    r = git("git checkout -q agent/old && git commit -q --amend -m rewritten && git push -f origin agent/old")
    check("a forced push is refused", r.returncode != 0 and "forced push" in r.stderr, said(r))
    rows = [o for o in s.records("outcome") if "git_forced" in o]
    check("it is on record as one", [o["git_forced"] for o in rows] == [["refs/heads/agent/old"]] and
          rows[0]["result"] == "CONTENT_DENIED", s.records("outcome"))
    check("and did not happen", servers.git.refs()["refs/heads/agent/old"] == before["refs/heads/agent/old"], servers.git.refs())
    r = git("git push origin :agent/old")
    check("a deletion is refused", r.returncode != 0 and "may not be deleted" in r.stderr and
          "refs/heads/agent/old" in servers.git.refs(), said(r))
    r = git("git tag v1 && git push origin v1")
    check("a tag is refused", r.returncode != 0 and "refs/tags/v1" not in servers.git.refs(), said(r))
    r = s.sh(BEGIN.replace("site", "other") + "git checkout -q -b agent/x && git push origin agent/x", "--quiet", *servers.options())
    check("another repository is not pushed to", r.returncode != 0 and "refs/heads/agent/x" not in servers.git.refs("other"), said(r))
    r = git("git checkout -q -b agent/big && head -c 3000000 /dev/urandom > big && git add big && git commit -q -m big && "
            "git push origin agent/big")
    check("a pack over the cap is refused", r.returncode != 0 and "refs/heads/agent/big" not in servers.git.refs(), said(r))
    r = git("git checkout -q -b agent/mid && head -c 700000 /dev/urandom > mid && git add mid && git commit -q -m mid && "
            "git -c http.postBuffer=65536 push -q origin agent/mid && git -c http.postBuffer=65536 push origin HEAD:main")
    check("a chunked push, allowed and then refused",
          "refs/heads/agent/mid" in servers.git.refs() and r.returncode != 0 and
          servers.git.refs()["refs/heads/main"] == before["refs/heads/main"], said(r))
    r = git("curl -s -o /dev/null -w '%{http_code}' " + f"http://{HOSTS['code']}/acme/site.git/HEAD")
    check("what is no smart HTTP is not recognised", r.stdout.endswith("403"), said(r))

    def batch(repository, operation):
        r = git("curl -s -o /dev/null -w '%{http_code}' -H 'content-type: application/vnd.git-lfs+json' -d '" +
                '{"operation":"' + operation + '","objects":[]}' + f"' http://{HOSTS['code']}/acme/{repository}.git/info/lfs/objects/batch")
        return r.stdout[-3:], len(servers.asked("code", f"{repository}.git/info/lfs"))

    check("LFS: a download is passed on", batch("other", "download")[1] == 1, servers.asked("code", "lfs"))
    check("LFS: an upload where the rule has no push is not", batch("other", "upload") == ("403", 1), servers.asked("code", "lfs"))
    check("LFS: an upload where it has one is", batch("site", "upload")[1] == 1, servers.asked("code", "lfs"))
    check("LFS: an operation that nobody knows is not", batch("site", "x")[1] == 1, servers.asked("code", "lfs"))

    s.set_policy(POLICY.replace("refs:", "force: true\n      delete: true\n      refs:"))
    r = git("git checkout -q agent/old && git commit -q --amend -m rewritten && git push -q -f origin agent/old && "
            "git push -q origin :agent/new")
    check("force and delete where the rule says so", r.returncode == 0 and "refs/heads/agent/new" not in servers.git.refs() and
          servers.git.refs()["refs/heads/agent/old"] != before["refs/heads/agent/old"], said(r))
    rows = [ref.split() for o in s.records("outcome") for ref in o.get("git_refs", [])]
    check("and the trail says from which commit to which", ["update", before["refs/heads/agent/old"],
          servers.git.refs()["refs/heads/agent/old"], "refs/heads/agent/old"] in rows, rows)

    before = servers.git.refs()
    s.set_policy(POLICY.replace("[http]", "[https]"))
    r = s.sh(BEGIN.replace("http://", "https://") + "git checkout -q -b agent/tls && git commit -q --allow-empty -m tls && "
             "git push -q origin agent/tls && git push origin HEAD:main", "--quiet", *servers.options())
    after = servers.git.refs()
    check("over TLS the same: a branch where the rule allows, main refused in words", "refs/heads/agent/tls" in after and
          r.returncode != 0 and "not among the refs" in r.stderr and after["refs/heads/main"] == before["refs/heads/main"], said(r))
    rows = [i for i in s.records("intent") if i.get("git_service") == "push"]
    check("and it was TLS", rows and all(i["url"].startswith("https://") for i in rows), rows)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
    servers.close()
finish()
