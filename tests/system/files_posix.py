#!/usr/bin/env python3
"""files_posix.py - does the served directory behave as a file system does?

Run inside a mount of paddock-files (tests/system/files). Each check does the same on the mount and,
where results can differ, on a local directory given as argument, and compares.
"""
import errno
import fcntl
import hashlib
import mmap
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time

local = sys.argv[1]
checks = []


def check(f):
    checks.append(f)
    return f


def fails(number, f, *arguments, **named):
    try:
        f(*arguments, **named)
    except OSError as e:
        assert e.errno == number, f"{f.__name__}{arguments}: {errno.errorcode[e.errno]}, not {errno.errorcode[number]}"
    else:
        raise AssertionError(f"{f.__name__}{arguments} succeeded")


def write(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, flags, 0o644)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


@check
def open_modes():
    write("a", b"hello")
    assert read("a") == b"hello"
    fails(errno.EEXIST, os.open, "a", os.O_CREAT | os.O_EXCL | os.O_RDWR)
    fails(errno.ENOENT, os.open, "none", os.O_RDWR)
    fails(errno.ENOTDIR, os.open, "a/b", os.O_RDWR)
    fails(errno.EISDIR, os.open, ".", os.O_RDWR)
    write("a", b" world", os.O_WRONLY | os.O_APPEND)
    assert read("a") == b"hello world"
    os.close(os.open("a", os.O_RDONLY | os.O_TRUNC))
    assert read("a") == b""


@check
def append_from_two():
    first, second = (os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(2))
    for i in range(50):
        os.write(first, b"1\n")
        os.write(second, b"2\n")
    assert read("log") == b"1\n2\n" * 50


@check
def long_names():
    write("n" * 255, b"x")
    fails(errno.ENAMETOOLONG, write, "n" * 256, b"x")
    os.unlink("n" * 255)
    write("\u00e9\U0001f600 \n\t'\"", b"x")
    assert "\u00e9\U0001f600 \n\t'\"" in os.listdir(".")


@check
def directories():
    os.makedirs("d/e/f")
    fails(errno.EEXIST, os.mkdir, "d")
    fails(errno.ENOTEMPTY, os.rmdir, "d")
    fails(errno.ENOTDIR, os.rmdir, "a")
    fails(errno.EISDIR, os.unlink, "d")
    assert sorted(os.listdir("d")) == ["e"]
    os.rmdir("d/e/f")
    assert os.listdir("d/e") == []
    here = os.open("d/e", os.O_RDONLY)
    os.rmdir("d/e")
    fails(errno.ENOENT, os.stat, "d/e")
    os.close(here)


@check
def deep():
    path = "/".join(["deep"] * 200)
    os.makedirs(path)
    write(path + "/f", b"deep")
    assert read(path + "/f") == b"deep"
    os.rename("deep", "deeper")
    assert read("deeper" + path[4:] + "/f") == b"deep"
    subprocess.run(["rm", "-r", "deeper"], check=True)


@check
def renames():
    write("r1", b"1")
    write("r2", b"2")
    os.rename("r1", "r2")
    assert read("r2") == b"1"
    fails(errno.ENOENT, os.stat, "r1")
    os.mkdir("rd")
    fails(errno.EISDIR, os.rename, "r2", "rd")
    fails(errno.ENOTDIR, os.rename, "rd", "r2")
    fails(errno.EINVAL, os.rename, "rd", "rd/x")
    os.mkdir("rd2")
    write("rd2/x", b"")
    fails(errno.ENOTEMPTY, os.rename, "rd", "rd2")
    os.rename("rd2", "rd")
    assert os.listdir("rd") == ["x"]


@check
def atomic_save():
    write("doc", b"old")
    reader = open("doc", "rb")
    for i in range(100):
        write("doc.tmp", b"%d" % i)
        os.rename("doc.tmp", "doc")
        assert read("doc") == b"%d" % i
    assert reader.read() == b"old"


@check
def open_and_unlinked():
    f = open("gone", "w+b")
    f.write(b"still here")
    f.flush()
    os.unlink("gone")
    assert os.fstat(f.fileno()).st_nlink == 0
    os.ftruncate(f.fileno(), 5)
    os.fchmod(f.fileno(), 0o600)
    assert stat.S_IMODE(os.fstat(f.fileno()).st_mode) == 0o600
    f.seek(0)
    assert f.read() == b"still"
    write("gone", b"another")
    f.seek(0)
    assert f.read() == b"still"


@check
def links():
    write("l1", b"x")
    os.link("l1", "l2")
    assert os.stat("l1").st_nlink == 2 and os.path.samefile("l1", "l2")
    write("l2", b"through")
    assert read("l1") == b"through"
    os.unlink("l1")
    assert read("l2") == b"through" and os.stat("l2").st_nlink == 1
    fails(errno.EPERM, os.link, ".", "l3")
    os.symlink("l2", "s")
    assert os.readlink("s") == "l2" and read("s") == b"through"
    os.symlink("none", "dangling")
    fails(errno.ENOENT, open, "dangling")
    os.symlink("loop", "loop")
    fails(errno.ELOOP, open, "loop")


@check
def attributes():
    write("m", b"x")
    os.chmod("m", 0o4755)
    assert stat.S_IMODE(os.stat("m").st_mode) == 0o755
    os.chmod("m", 0)
    os.chmod("m", 0o640)
    os.utime("m", ns=(1_000_000_001, 2_000_000_002))
    assert os.stat("m").st_mtime_ns == 2_000_000_002
    os.chown("m", os.stat("m").st_uid, os.stat("m").st_gid)
    fails(errno.EPERM, os.chown, "m", 12345, 12345)
    old = os.umask(0o077)
    write("masked", b"")
    os.umask(old)
    assert stat.S_IMODE(os.stat("masked").st_mode) == 0o600
    fails(errno.EPERM, os.mknod, "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mkfifo("fifo")
    assert stat.S_ISFIFO(os.stat("fifo").st_mode)
    before = os.stat("m").st_mtime_ns
    write("m", b"y", os.O_WRONLY)
    assert os.stat("m").st_mtime_ns != before


@check
def extended_attributes():
    write("x", b"")
    os.setxattr("x", "user.one", b"1")
    os.setxattr("x", "user.two", b"2" * 1000)
    assert sorted(os.listxattr("x")) == ["user.one", "user.two"]
    assert os.getxattr("x", "user.two") == b"2" * 1000
    fails(errno.EEXIST, os.setxattr, "x", "user.one", b"", os.XATTR_CREATE)
    fails(errno.ENODATA, os.getxattr, "x", "user.three")
    fails(errno.EOPNOTSUPP, os.setxattr, "x", "trusted.x", b"1")
    os.removexattr("x", "user.one")
    assert os.listxattr("x") == ["user.two"]


@check
def sparse():
    with open("sparse", "w+b") as f:
        f.truncate(10 << 20)
        f.seek(5 << 20)
        f.write(b"x" * 4096)
        f.flush()
        assert os.lseek(f.fileno(), 0, os.SEEK_DATA) == 5 << 20
        assert os.lseek(f.fileno(), 5 << 20, os.SEEK_HOLE) == (5 << 20) + 4096
        os.posix_fallocate(f.fileno(), 0, 11 << 20)
    assert os.stat("sparse").st_size == 11 << 20


@check
def locks():
    with open("lock", "w") as one, open("lock", "w") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        fails(errno.EAGAIN, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(one, fcntl.LOCK_EX)


@check
def many_names():
    os.mkdir("many")
    for i in range(3000):
        write(f"many/{i}", b"")
    assert len(os.listdir("many")) == 3000
    seen = 0
    for entry in os.scandir("many"):    # removed while it is read
        os.unlink(entry.path)
        seen += 1
    assert seen == 3000 and os.listdir("many") == []


@check
def big():
    data = random.Random(1).randbytes(20 << 20)
    write_all = open("big", "wb")
    write_all.write(data)
    write_all.close()
    assert hashlib.sha256(read("big")).digest() == hashlib.sha256(data).digest()
    with open("big", "rb") as a, open("copy", "wb") as b:
        while os.copy_file_range(a.fileno(), b.fileno(), 1 << 30):
            pass
    assert read("copy") == data


@check
def the_host_changes_it():
    """Within the second for which a name is believed, and for data at once after the next open."""
    path = os.path.join(sys.argv[2], "host")
    with open(path, "w") as f:
        f.write("one")
    time.sleep(1.1)
    assert read("host") == b"one"
    with open(path, "w") as f:
        f.write("two!")
    time.sleep(1.1)
    assert read("host") == b"two!"
    os.unlink(path)
    time.sleep(1.1)
    fails(errno.ENOENT, open, "host")


@check
def random_operations():
    """fsx: random reads, writes, truncations and mappings, against a model in memory."""
    r = random.Random(7)
    model = bytearray()
    fd = os.open("fsx", os.O_RDWR | os.O_CREAT)
    for turn in range(4000):
        what = r.randrange(6)
        at, n = r.randrange(256 << 10), r.randrange(1, 64 << 10)
        if what == 0:
            data = r.randbytes(n)
            assert os.pwrite(fd, data, at) == n
            model.extend(bytes(max(0, at + n - len(model))))
            model[at:at + n] = data
        elif what == 1:
            assert os.pread(fd, n, at) == bytes(model[at:at + n]), f"read, turn {turn}"
        elif what == 2 and turn % 4 == 0:
            os.ftruncate(fd, at)
            model = model[:at] + bytes(max(0, at - len(model)))
        elif what == 3 and model:
            with mmap.mmap(fd, len(model)) as m:
                at %= len(model)
                n = min(n, len(model) - at)
                if r.randrange(2):
                    data = r.randbytes(n)
                    m[at:at + n] = data
                    model[at:at + n] = data
                    m.flush()
                assert m[at:at + n] == bytes(model[at:at + n]), f"map, turn {turn}"
        elif what == 4 and turn % 7 == 0:
            os.close(fd)
            fd = os.open("fsx", os.O_RDWR)
        elif what == 5:
            assert os.fstat(fd).st_size == len(model)
    os.close(fd)
    assert read("fsx") == bytes(model)


@check
def threads():
    def work(k):
        for i in range(100):
            write(f"t{k}-{i}", b"%d" % i)
            assert read(f"t{k}-{i}") == b"%d" % i
            os.rename(f"t{k}-{i}", f"u{k}-{i}")
            os.unlink(f"u{k}-{i}")
        done.append(k)

    done = []
    all_threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()
    assert len(done) == 8


@check
def database():
    for mode in ("delete", "wal"):
        c = sqlite3.connect(f"{mode}.db")
        c.execute(f"pragma journal_mode={mode}")
        c.execute("create table t(a)")
        for i in range(50):
            c.execute("insert into t values(?)", (i,))
            c.commit()
        assert c.execute("pragma integrity_check").fetchone() == ("ok",)
        assert c.execute("select sum(a) from t").fetchone() == (1225,)
        c.close()


failed = 0
for f in checks:
    begin = time.monotonic()
    try:
        f()
        print(f"ok      {f.__name__} ({time.monotonic() - begin:.2f} s)")
    except Exception as e:
        failed += 1
        print(f"FAILED  {f.__name__}: {type(e).__name__}: {e}")
sys.exit(1 if failed else 0)
