"""The policy in force by every other way to its file, and where Paddock keeps its own: none of it from inside."""
import os
import time

from paddock import check, finish, sandbox, wait_for

POLICY = "version: 1\nnetwork:\n  - hosts: [one.test]\n    methods: [GET]\n"
OPEN = "version: 1\nnetwork:\n  - hosts: ['*.test']\n    methods: ['*']\n"


def links_to_the_policy(s):
    conf = s.workspace / "conf"
    conf.mkdir()
    (conf / "real.yaml").write_text(POLICY)
    (s.workspace / "link.yaml").symlink_to("conf/real.yaml")
    (s.workspace / "dir").symlink_to("conf")
    for name in ("link.yaml", "dir/real.yaml"):
        s.policy = s.workspace / name
        r = s.sh(f"rm -rf dir link.yaml; mkdir -p dir; printf %s \"{OPEN}\" > {name}; "
                 "echo x >> conf/real.yaml; mv conf c2; ln conf/real.yaml other; rm conf/real.yaml; sleep 1.5; true", "--quiet")
        check(f"policy by the link {name}: its file is as it was", (conf / "real.yaml").read_text() == POLICY, r.stderr)
        check(f"policy by the link {name}: what stands in the link's place is not loaded",
              not s.records("reload") and r.returncode == 0, (s.records("reload"), r.stderr))
        for left in (s.workspace / "dir", s.workspace / "link.yaml"):
            if left.is_symlink() or left.is_file():
                left.unlink()
            elif left.is_dir():
                for f in left.iterdir():
                    f.unlink()
                left.rmdir()
        (s.workspace / "link.yaml").symlink_to("conf/real.yaml")
        (s.workspace / "dir").symlink_to("conf")


def a_visible_link(s):
    real = s.root / "elsewhere"
    real.mkdir()
    way = s.root / "way"
    way.symlink_to("elsewhere")
    s.policy = real / "mine.yaml"
    text = POLICY + f"filesystem:\n  visible:\n    - {{ path: {way}, mode: write }}\n"
    s.policy.write_text(text)
    r = s.sh(f"echo x > {way}/mine.yaml; echo y > {way}/other; cat {way}/other", "--quiet")
    check("policy in a visible directory that is reached by a link: cannot be written", s.policy.read_text() == text,
          (r.stdout, r.stderr))
    check("and what is beside it can", "y" in r.stdout, (r.stdout, r.stderr))


def refused(s, what, r):
    check(f"{what}: one line, exit 125, nothing started",
          r.returncode == 125 and len(r.stderr.strip().splitlines()) == 1 and "paddock" in r.stderr, (r.returncode, r.stderr))


def own_places(s):
    s.set_policy(POLICY)
    refused(s, "a workspace that holds the trails", s.run(["true"], "--quiet", "--workspace", str(s.root)))
    s.set_policy(POLICY + f"filesystem:\n  visible:\n    - {{ path: {s.state}, mode: write }}\n")
    refused(s, "a visible directory that holds the trails", s.run(["true"], "--quiet"))
    s.set_policy(POLICY)
    refused(s, "the home directory, with a slash more",
            s.run(["true"], "--quiet", "--workspace", os.environ["HOME"], env={"HOME": os.environ["HOME"] + "/"}))
    refused(s, "what holds the home directory",
            s.run(["true"], "--quiet", "--workspace", str(os.path.dirname(os.environ["HOME"]))))
    odd = os.fsencode(s.root) + b"/pol\xff.yaml"
    with open(odd, "w", encoding="utf-8") as f:
        f.write(POLICY)
    refused(s, "a policy whose name is not UTF-8", s.run(["true"], "--quiet", "--policy", odd, errors="replace"))


def runtime(s):
    s.set_policy(POLICY)
    victim = s.root / "victim"
    (victim / "precious").mkdir(parents=True)
    (victim / "precious" / "file").write_text("kept")
    (victim / "20260101-000000-abcdef").mkdir()
    hostile = s.root / "hostile"
    hostile.mkdir()
    (hostile / "paddock").symlink_to(victim)
    refused(s, "a runtime directory that is a link", s.run(["true"], "--quiet", env={"XDG_RUNTIME_DIR": str(hostile)}))
    check("and nothing was swept there", (victim / "precious" / "file").exists() and
          (victim / "20260101-000000-abcdef").exists())
    (hostile / "paddock").unlink()
    (hostile / "paddock").mkdir(mode=0o777)
    (hostile / "paddock").chmod(0o777)
    refused(s, "a runtime directory open to others", s.run(["true"], "--quiet", env={"XDG_RUNTIME_DIR": str(hostile)}))
    (hostile / "paddock").chmod(0o700)
    (hostile / "paddock" / "project").mkdir()
    (hostile / "paddock" / "project" / "file").write_text("kept")
    (hostile / "paddock" / "20260101-000000-abcdef").mkdir()
    r = s.run(["true"], "--quiet", env={"XDG_RUNTIME_DIR": str(hostile)})
    check("only directories of runs are swept", r.returncode == 0 and (hostile / "paddock/project/file").exists() and
          not (hostile / "paddock/20260101-000000-abcdef").exists(), r.stderr)


def two_at_once(s):
    s.set_policy(POLICY)
    runs = [s.start(["sh", "-c", f"for i in 1 2 3 4 5; do echo {n} > f{n}; cat f*; done"], "--quiet", "--name", "same",
                    stdin=-3, stdout=-3, stderr=-3) for n in range(4)]
    codes = [p.wait(60) for p in runs]
    check("four runs in one workspace under one name", codes == [0] * 4, codes)


def confined_files(s):
    """What a captured paddock-files could name: its roots are mounts of their own."""
    s.set_policy(POLICY)
    p = s.start(["sleep", "20"], "--quiet", stdin=-3, stdout=-3, stderr=-3)
    live = wait_for(lambda: [x for x in s.live() if x.get("processes", {}).get("paddock-files")], 15)
    pid = live[0]["processes"]["paddock-files"] if live else 0
    time.sleep(1)
    seen = ""
    if pid and os.path.exists(f"/proc/{pid}/status"):
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            seen = f.read()
    check("paddock-files: filtered, without capabilities, no new privileges",
          "Seccomp:\t2" in seen and "NoNewPrivs:\t1" in seen and "CapEff:\t0000000000000000" in seen, seen[-400:])
    p.terminate()
    p.wait(30)


with sandbox("places") as s:
    links_to_the_policy(s)
    a_visible_link(s)
    own_places(s)
    runtime(s)
    two_at_once(s)
    confined_files(s)
finish()
