"""As root of the agent's user namespace: everything that root would try (design: each has an expected end)."""
import subprocess

from paddock import MACHINE, check, finish, sandbox, world

POLICY = """\
version: 1
network:
  - hosts: [api.example.test]
    methods: [GET]
    addresses: [127.0.0.0/8]
"""
SCRIPT = r'''
import ctypes, os, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def tell(name, went, why=""):
    print(("WENT " if went else "refused ") + name, why, flush=True)
def attempt(name, f):
    try:
        r = f()
        tell(name, r is not False, r)
    except BaseException as e:
        tell(name, False, type(e).__name__ + " " + str(e)[:80])
def sysno(n, *a):
    r = libc.syscall(n, *a)
    if r < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r
print("uid", os.getuid())
attempt("raw-socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6))
attempt("packet-socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
def nft():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.bind((0, 0)); s.settimeout(3)
    # NFT_MSG_NEWTABLE in a batch
    def msg(t, flags, seq, body): return (len(body)+16).to_bytes(4,"little")+t.to_bytes(2,"little")+flags.to_bytes(2,"little")+seq.to_bytes(4,"little")+b"\0"*4+body
    gen = lambda fam, res: bytes([fam,0])+res.to_bytes(2,"big")
    name = b"\x08\x00\x01\x00evl\0"
    s.send(msg(16,1,1,gen(0,10))+msg(0xa00,0x405,2,gen(2,0)+name)+msg(17,1,3,gen(0,10)))
    import struct
    while True:
        d = s.recv(65536)
        ln, typ = struct.unpack("<IH", d[:6])
        if typ == 2:
            err = struct.unpack("<i", d[16:20])[0]
            if err: raise OSError(-err, os.strerror(-err))
            return True
attempt("nftables", nft)
def flush():
    r = subprocess.run(["sh","-c","ip link set lo down || ip route flush table local"],capture_output=True)
    if r.returncode: raise OSError("ip failed")
attempt("network-config", flush)
attempt("ports", lambda: [open("/dev/"+d,"r+b",0) for d in os.listdir("/dev") if d.startswith("vport")] or (_ for _ in ()).throw(OSError("no port device")))
def mknod():
    os.mknod("/tmp/vport", 0o600 | 0o020000, os.makedev(247, 1)); open("/tmp/vport","r+b",0)
attempt("mknod-port", mknod)
attempt("mount-devtmpfs", lambda: libc.mount(b"devtmpfs", b"/mnt", b"devtmpfs", 0, None) == 0)
def pid1():
    with open("/proc/1/comm") as f: name = f.read().strip()
    if "paddock-init" in name:
        open("/proc/1/mem","rb").seek(0x400000)
        return open("/proc/1/mem","rb",0).read(1)
    raise OSError("PID 1 here is " + name)
attempt("pid1-memory", pid1)
def initial_procs():
    hits=[]
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                if open(f"/proc/{p}/comm").read().strip()=="paddock-init":
                    os.readlink(f"/proc/{p}/exe"); os.listdir(f"/proc/{p}/fd"); hits.append(p)
            except OSError: pass
    return hits or False
attempt("paddock-init-proc", initial_procs)
attempt("ptrace-1", lambda: sysno(101, 16, 1, 0, 0))
attempt("kill-1", lambda: "paddock-init" in open("/proc/1/comm").read() and (os.kill(1, 9) or time.sleep(0.5) or True))
attempt("dev-mem", lambda: open("/dev/mem","rb"))
attempt("kmsg", lambda: open("/dev/kmsg","rb"))
attempt("sysrq", lambda: open("/proc/sysrq-trigger","w").write("c"))
attempt("core-pattern", lambda: open("/proc/sys/kernel/core_pattern","w").write("|/tmp/x"))
attempt("modprobe-path", lambda: open("/proc/sys/kernel/modprobe","w").write("/tmp/x"))
attempt("ip-forward", lambda: open("/proc/sys/net/ipv4/ip_forward","w").write("1"))
attempt("module", lambda: sysno(313, os.open("/dev/null", 0), b"", 0))
attempt("kexec", lambda: sysno(246, 0, 0, 0, 0))
attempt("reboot", lambda: sysno(169, 0xfee1dead, 672274793, 0x1234567, 0))
attempt("settime", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt("bpf", lambda: sysno(321, 5, ctypes.create_string_buffer(128), 128))
attempt("initial-userns", lambda: sysno(308, os.open("/proc/1/ns/user", 0), 0) if "paddock-init" in open("/proc/1/comm").read() else (_ for _ in ()).throw(OSError("hidden")))
def own_rules():
    # a namespace of one's own gives rules of one's own, and no way out of it
    r = subprocess.run(["unshare","-Urn","python3","-c","import socket; socket.create_connection(('198.18.0.1',80),3)"],capture_output=True,timeout=20)
    return r.returncode == 0
attempt("own-netns-has-a-way-out", own_rules)
attempt("redirect-port", lambda: (lambda s: (s.send(b"GET / HTTP/1.0\r\n\r\n"), s.recv(10) or (_ for _ in ()).throw(OSError("closed"))))(socket.create_connection(("127.0.0.1", 15001), 5)))
'''
FLOOD = r'''
import socket, time, threading
ok = 0; bad = 0; held = []
began = time.time()
for i in range(3000):
    try:
        s = socket.socket(); s.settimeout(5); s.connect(("198.18.0.%d" % (1 + i % 200), 443)); held.append(s); ok += 1
    except OSError:
        bad += 1
print("opened", ok, "refused", bad, "in", round(time.time() - began, 1))
for s in held: s.close()
import urllib.request
for i in range(20):
    time.sleep(2)
    try:
        print("after", urllib.request.urlopen("https://api.example.test/public", timeout=30).status, i)
        break
    except Exception as e:
        print("after", i, e)
'''


def from_inside(s):
    (s.workspace / "hostile.py").write_text(SCRIPT)
    r = s.run(["python3", "hostile.py"], "--quiet")
    lines = [x for x in r.stdout.splitlines() if x.startswith(("WENT", "refused"))]
    check("the whole list was tried, as root of its namespace", len(lines) >= 25 and "uid 0" in r.stdout,
          (len(lines), r.stdout, r.stderr))
    for line in lines:
        verdict, name = line.split()[:2]
        check(f"hostile root: {name}: refused", verdict == "refused", line)


def floods(s):
    (s.workspace / "flood.py").write_text(FLOOD)
    r = s.run(["python3", "flood.py"], "--quiet", timeout=280)
    check("thousands of connections: bounded", "opened" in r.stdout, (r.stdout, r.stderr))
    check("and afterwards it works as before", "after 200" in r.stdout, (r.stdout, r.stderr))
    r = s.sh("for i in $(seq 1 300); do getent hosts x$i.unlisted.test & done; wait; "
             "curl -sS -m 20 -o /dev/null -w '%{http_code}' https://api.example.test/public", "--quiet")
    check("a flood of DNS questions: bounded, and afterwards it works", r.stdout.endswith("200"), (r.stdout[-300:], r.stderr[-500:]))
    if MACHINE == "qemu":      # in a namespace it would be the host's memory
        r = s.sh("dd if=/dev/zero of=/dev/shm/fill bs=1M count=100000 2>/dev/null; rm -f /dev/shm/fill; "
                 "curl -sS -m 30 -o /dev/null -w '%{http_code}' https://api.example.test/public", "--quiet", timeout=200)
        check("memory filled by the agent: the gate goes on, or the sandbox ends", "200" in r.stdout or r.returncode != 0,
              (r.returncode, r.stdout, r.stderr))


with world() as w, sandbox("hostile", w, POLICY) as s:
    from_inside(s)
    floods(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
