"""As root of the agent's user namespace: everything that root would try (design: each has an expected end)."""
import subprocess

from paddock import MACHINE, SLOW, check, finish, sandbox, world

POLICY = """\
version: 1
network:
  - hosts: [api.example.test]
    methods: [GET]
    addresses: [127.0.0.0/8]
"""
SCRIPT = r'''
import ctypes, errno, fcntl, os, socket, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
DENIED = {errno.EPERM, errno.EACCES}
ABSENT = DENIED | {errno.ENOENT, errno.EROFS}
CLOSED = {errno.ECONNRESET, errno.ECONNREFUSED}
def attempt(name, f, ends):
    # refused: it said so in one of the ways that are expected, or had nothing to show for it. What fails for any
    # other reason (no such tool, a typing error) has tried nothing.
    try:
        verdict, why = ("refused" if f() is False else "WENT"), ""
    except OSError as e:
        verdict, why = ("refused" if e.errno in ends else "ODD"), repr(e)
    except BaseException as e:
        verdict, why = "ODD", repr(e)
    print(verdict, name, why[:200], flush=True)
def sysno(n, *a):
    r = libc.syscall(n, *a)
    if r < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r
print("uid", os.getuid())
attempt("raw-socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6), DENIED)
attempt("packet-socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3), DENIED)
def nft():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.bind((0, 0)); s.settimeout(3)
    # NFT_MSG_NEWTABLE in a batch
    def msg(t, flags, seq, body): return (len(body)+16).to_bytes(4,"little")+t.to_bytes(2,"little")+flags.to_bytes(2,"little")+seq.to_bytes(4,"little")+b"\0"*4+body
    gen = lambda fam, res: bytes([fam,0])+res.to_bytes(2,"big")
    name = b"\x08\x00\x01\x00evl\0"
    s.send(msg(16,1,1,gen(0,10))+msg(0xa00,0x405,2,gen(2,0)+name)+msg(17,1,3,gen(0,10)))
    while True:
        d = s.recv(65536)
        ln, typ = struct.unpack("<IH", d[:6])
        if typ == 2:
            err = struct.unpack("<i", d[16:20])[0]
            if err: raise OSError(-err, os.strerror(-err))
            return True
attempt("nftables", nft, DENIED)
def loopback_down():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0))          # SIOCSIFFLAGS
attempt("loopback-down", loopback_down, DENIED)
def route_away():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = struct.pack("HH4s8x", socket.AF_INET, 0, bytes(4))
    fcntl.ioctl(s, 0x890c, struct.pack("L", 0) + address * 3 + bytes(64))       # SIOCDELRT
attempt("route-away", route_away, DENIED)
attempt("ports", lambda: [open("/dev/"+d,"r+b",0) for d in os.listdir("/dev") if d.startswith("vport")] or False, DENIED)
def mknod():
    os.mknod("/tmp/vport", 0o600 | 0o020000, os.makedev(247, 1)); open("/tmp/vport","r+b",0)
attempt("mknod-port", mknod, DENIED)
def devtmpfs():
    os.makedirs("/tmp/dev", exist_ok=True)
    if libc.mount(b"devtmpfs", b"/tmp/dev", b"devtmpfs", 0, None): raise OSError(ctypes.get_errno(), "mount")
attempt("mount-devtmpfs", devtmpfs, DENIED)
attempt("pid1-memory", lambda: open("/proc/1/mem","rb",0), DENIED)
def initial_procs():
    hits=[]
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                if open(f"/proc/{p}/comm").read().strip()=="paddock-init":
                    os.readlink(f"/proc/{p}/exe"); os.listdir(f"/proc/{p}/fd"); hits.append(p)
            except OSError: pass
    return hits or False
attempt("paddock-init-proc", initial_procs, ())
attempt("ptrace-1", lambda: sysno(101, 16, 1, 0, 0), DENIED)
def kill_1():
    os.kill(1, 9)
    time.sleep(0.5)
    return False        # still here, and so is it
attempt("kill-1", kill_1, DENIED)
attempt("dev-mem", lambda: open("/dev/mem","rb"), ABSENT)
attempt("kmsg", lambda: open("/dev/kmsg","rb"), ABSENT)
attempt("sysrq", lambda: open("/proc/sysrq-trigger","w").write("c"), ABSENT)
attempt("core-pattern", lambda: open("/proc/sys/kernel/core_pattern","w").write("|/tmp/x"), ABSENT)
attempt("modprobe-path", lambda: open("/proc/sys/kernel/modprobe","w").write("/tmp/x"), ABSENT)
attempt("ip-forward", lambda: open("/proc/sys/net/ipv4/ip_forward","w").write("1"), ABSENT)
NOT_HERE = DENIED | {errno.ENOSYS}
attempt("module", lambda: sysno(313, os.open("/dev/null", 0), b"", 0), NOT_HERE)
attempt("kexec", lambda: sysno(246, 0, 0, 0, 0), NOT_HERE)
attempt("reboot", lambda: sysno(169, 0xfee1dead, 672274793, 0x1234567, 0), NOT_HERE)
attempt("settime", lambda: time.clock_settime(time.CLOCK_REALTIME, 0), NOT_HERE)
attempt("bpf", lambda: sysno(321, 5, ctypes.create_string_buffer(128), 128), NOT_HERE)
attempt("userns-above", lambda: fcntl.ioctl(os.open("/proc/self/ns/user", 0), 0xb702), DENIED)        # NS_GET_PARENT
def userns_of_1():
    if os.stat("/proc/1/ns/user").st_ino == os.stat("/proc/self/ns/user").st_ino: return False
    sysno(308, os.open("/proc/1/ns/user", 0), 0)
attempt("userns-of-1", userns_of_1, DENIED)
def own_rules():
    # a namespace of one's own gives rules of one's own, and no way out of it
    if libc.unshare(0x10000000 | 0x40000000): raise OSError(ctypes.get_errno(), "unshare")
    socket.create_connection(("198.18.0.1", 80), 3)
def in_a_child(f):
    pid = os.fork()
    if not pid:
        try: f()
        except OSError as e: os._exit(e.errno)
        except BaseException: os._exit(255)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code: raise OSError(code, "in the child")
attempt("own-netns-has-a-way-out", lambda: in_a_child(own_rules), NOT_HERE | {errno.ENETUNREACH, errno.ENOSPC})
def redirect_port():
    s = socket.create_connection(("127.0.0.1", 15001), 5)
    s.send(b"GET / HTTP/1.0\r\n\r\n")
    return bool(s.recv(10))
attempt("redirect-port", redirect_port, CLOSED)
'''
ATTEMPTS = SCRIPT.count("\nattempt(")
FLOOD = r'''
import socket, sys, time
ok = 0; bad = 0; held = []
began = time.time()
for i in range(int(sys.argv[1])):
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
    lines = [x for x in r.stdout.splitlines() if x.startswith(("WENT", "refused", "ODD"))]
    check("the whole list was tried, as root of its namespace", len(lines) == ATTEMPTS and "uid 0" in r.stdout,
          (len(lines), ATTEMPTS, r.stdout, r.stderr))
    for line in lines:
        verdict, name = line.split()[:2]
        check(f"hostile root: {name}: refused", verdict == "refused", line)


def floods(s):
    (s.workspace / "flood.py").write_text(FLOOD)
    many = 1500 if SLOW else 3000      # more than the guest's relay (1,024) or the inspector (256) holds
    r = s.run(["python3", "flood.py", str(many)], "--quiet", timeout=280)
    check(f"{many} connections: bounded", "opened" in r.stdout, (r.stdout, r.stderr))
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
