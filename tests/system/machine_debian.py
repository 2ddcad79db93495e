"""--image debian: built from Debian's mirror, once; each file in it is of one of its packages, so none of this host's.

As an ordinary user mmdebstrap wants subordinate ids, so that it is root's, where there is one. needs: root
"""
import os
import pathlib
import re
import shutil
import subprocess
import time

from paddock import check, finish, sandbox, skip

MIRROR = "http://deb.debian.org/debian/dists/bookworm/InRelease"
# Of no package are what their installation made (in /etc, /var, a home, an index), caches of Python, and what Paddock adds.
STRANGERS = """\
import functools, glob, os
real = functools.lru_cache(None)(os.path.realpath)
owned = set()
for name in glob.glob("/var/lib/dpkg/info/*.list"):
    with open(name) as f:
        owned.update(real(os.path.dirname(line)) + "/" + os.path.basename(line) for line in f.read().split())
print("owned", len(owned))
made = {"/proc", "/sys", "/dev", "/etc", "/var", "/run", "/root", os.getcwd()}
for top, below, names in os.walk("/"):
    below[:] = [b for b in below if os.path.join(top, b) not in made and b != "__pycache__"]
    for path in (os.path.join(top, n) for n in names):
        if path not in owned and os.path.isfile(path) and not os.path.islink(path) and path != "/usr/share/info/dir":
            print("stranger", path)
"""


def why_not():
    """What it needs that is not here, or None."""
    if "ID=debian\n" not in pathlib.Path("/usr/lib/os-release").read_text():
        return "this host is no Debian"
    if os.getuid() != 0 and not shutil.which("newuidmap"):
        return "mmdebstrap without root needs newuidmap"
    if subprocess.run(["curl", "-sSf", "-m", "20", "-o", "/dev/null", MIRROR], check=False).returncode:
        return "Debian's mirror cannot be reached"
    return None


def main(s):
    kernels = sorted(pathlib.Path(os.environ["HOME"], ".cache/paddock/kernel").glob("*"))
    if kernels:
        s.env["PADDOCK_KERNEL"] = str(kernels[-1])
    s.env["XDG_CACHE_HOME"] = str(s.root / "cache")
    (s.workspace / "strangers.py").write_text(STRANGERS)

    def timed(what, script):
        began = time.monotonic()
        r = s.sh(script, "--quiet", "--image", "debian", timeout=400)
        print(f"# {what}: {time.monotonic() - began:.0f} s", flush=True)
        images = (s.root / "cache/paddock/images").glob("*.erofs")
        return r, [(p.name, p.stat().st_ino) for p in images]

    r, built = timed("the image built, and a run in it", "cat /etc/debian_version; command -v git; python3 strangers.py")
    lines = r.stdout.splitlines()
    check("debian: it is built, and what runs in it sees Debian 12 and its packages", r.returncode == 0 and len(built) == 1 and
          re.fullmatch(r"12\.\d+\n/usr/bin/git\nowned \d{4,}", "\n".join(lines[:3])),
          (r.returncode, r.stdout, r.stderr[-2000:], built))
    check("debian: and no file that is of none of them", len(lines) == 3, lines[3:])
    r, again = timed("a second run", "cat /etc/debian_version")
    check("debian: a second run takes the image that is there", r.stdout.splitlines() == lines[:1] and again == built, (r, built, again))


reason = why_not()
if reason:
    skip("the image of Debian", reason)
else:
    with sandbox("debian", policy="version: 1\n") as place:
        main(place)
        check("nothing is left behind", not place.left_behind(), place.left_behind())
finish()
