"""Whose terminal it is: none of the sandbox's processes has it but one; jobs in the background, stopped, signalled as a group."""
import contextlib
import fcntl
import os
import pathlib
import pty
import signal
import subprocess
import termios
import time

from paddock import SLOW, check, finish, kill, sandbox, wait_for

WAIT = 180 if SLOW else 30


def job(s, command, *options, ignore=(), redirect=None):
    """A run with a terminal of its own for standard input, output and error (or a file, for the last two), as the leader
    of a background job: another process of its session has the foreground. Returns the terminal, the leader's pid, our pid."""
    fd, inner = pty.openpty()
    read, write = os.pipe()
    shell = os.fork()
    if shell == 0:
        os.setsid()
        fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
        leader = os.fork()
        if leader == 0:
            os.setpgid(0, 0)
            for n in ignore:
                signal.signal(n, signal.SIG_IGN)
            out = os.open(redirect, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if redirect else inner
            for n, f in enumerate((inner, out, out)):
                os.dup2(f, n)
            os.closerange(3, 256)
            arguments = s.arguments(command, *options)
            os.execve(arguments[0], arguments, s.env)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.write(write, f"{leader}\n".encode())
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        while True:      # a shell that does what it is asked over its terminal's other end: nothing but wait, and "fg"
            done, status = os.waitpid(leader, os.WUNTRACED | os.WCONTINUED)
            if os.WIFSTOPPED(status):
                os.write(write, f"stopped {os.WSTOPSIG(status)}\n".encode())
                signal.sigwait({signal.SIGUSR1})
                os.tcsetpgrp(inner, leader)
                os.killpg(leader, signal.SIGCONT)
            elif not os.WIFCONTINUED(status):
                os.write(write, f"ended {os.waitstatus_to_exitcode(status)}\n".encode())
                os._exit(0)
    os.close(inner)
    os.close(write)
    lines = os.fdopen(read)
    return fd, int(lines.readline()), shell, lines


def drain(fd):
    os.set_blocking(fd, False)
    seen = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(fd, 65536):
            seen += chunk
    return seen.decode(errors="replace")


def processes(s):
    live = wait_for(lambda: [r for r in s.live() if r.get("processes")], WAIT)
    return {name: pid for name, pid in live[0]["processes"].items() if pid} if live else {}


def spent(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def state(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return "gone"


def descriptors(s):
    """A test's own terminal: who has it? (Of one's own processes that are not dumpable only root can tell.)"""
    fd, inner = pty.openpty()
    p = subprocess.Popen(s.arguments(["sh", "-c", "echo UP; read x"]), env=s.env, stdin=inner, stdout=inner, stderr=inner,
                         start_new_session=True)
    seen = ""
    while "UP" not in seen and p.poll() is None:
        seen += os.read(fd, 4096).decode(errors="replace")
    told, holders = 0, []
    for name, pid in processes(s).items():
        if name == "machine" and not SLOW:      # PID 1 of a namespace sandbox has terminals of its own
            continue
        with contextlib.suppress(PermissionError):
            for f in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                told += 1
                if name != "paddock-terminal" and os.readlink(f).startswith(("/dev/pts/", "/dev/tty")):
                    holders.append((name, f.name))
    check("the user's terminal is in no process of the sandbox's but one", not holders, holders)
    if os.geteuid() == 0:
        check("and all of them were looked at", told > 30, told)
    os.write(fd, b"\r")
    p.wait(WAIT)
    os.close(inner)
    os.close(fd)


def background(s):
    fd, leader, shell, lines = job(s, ["sh", "-c", "echo UP $(stty size | wc -w); read x; echo got $x"], "--quiet")
    line = lines.readline()
    check("in the background of a terminal a run stops as others do", line == f"stopped {signal.SIGTTOU.value}\n", line)
    modes = termios.tcgetattr(fd)
    check("and leaves the terminal as it is", modes[3] & termios.ECHO and modes[3] & termios.ICANON, modes[3])
    os.kill(shell, signal.SIGUSR1)
    check("brought to the front, the terminal is the command's",
          wait_for(lambda: not termios.tcgetattr(fd)[3] & termios.ICANON, WAIT), termios.tcgetattr(fd)[3])
    os.set_blocking(fd, True)
    seen = ""
    while "UP" not in seen:
        seen += os.read(fd, 4096).decode(errors="replace")
    os.write(fd, b"this\r")
    line = lines.readline()
    seen += drain(fd)
    check("and it goes on to its end", line == "ended 0\n" and "got this" in seen, (line, seen))
    os.waitpid(shell, 0)
    os.close(fd)


def background_with_output_elsewhere(s):
    log = s.root / "log"
    fd, leader, shell, lines = job(s, ["sh", "-c", "echo UP; sleep 4; echo DONE"], "--quiet", redirect=str(log))
    wait_for(lambda: log.exists() and "UP" in log.read_text(), WAIT)
    os.write(fd, b"typed for the shell\r")
    terminal = processes(s).get("paddock-terminal")
    before = spent(terminal)
    time.sleep(2)
    used = spent(terminal) - before
    check("what is typed for others costs a background run nothing", used < 0.5, used)
    line = lines.readline()
    check("a background run with its output elsewhere ends by itself", line == "ended 0\n" and "DONE" in log.read_text(), line)
    os.waitpid(shell, 0)
    os.close(fd)


def stopped(s):
    p = s.start(["sh", "-c", "i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); sleep 0.02; done"], "--quiet",
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    machine = wait_for(lambda: processes(s).get("machine"), WAIT)
    time.sleep(1)
    kill(p.pid, signal.SIGTSTP)
    check("a run that is stopped stops its machine", wait_for(lambda: state(p.pid) == "T" and state(machine) in "Tt", 10),
          (state(p.pid), state(machine)))
    kill(p.pid, signal.SIGCONT)
    check("and continued, continues it", wait_for(lambda: state(p.pid) in "SR" and state(machine) in "SR", 10),
          (state(p.pid), state(machine)))
    check("to its end", p.wait(WAIT) == 0, p.returncode)


def ends_whole(s, what):
    stop = s.records("stop")
    check(f"{what}: the trail has its end", len(stop) == 1 and s.records()[-1]["kind"] == "checkpoint", s.records()[-2:])
    r = s.paddock("audit", "verify", "--strict")
    check(f"{what}: and verifies", r.returncode == 0, r.stdout + r.stderr)
    check(f"{what}: nothing is left behind", wait_for(lambda: not s.left_behind(), 10), s.left_behind())


def group(s):
    p = s.start(["sh", "-c", "trap 'echo asked; exit 7' TERM; echo UP; while :; do sleep 0.1; done"], "--quiet",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    for name, pid in processes(s).items():
        if name != "machine":
            kill(pid, signal.SIGTERM)
    kill(p.pid, signal.SIGTERM)
    said = p.communicate(timeout=WAIT)[0]
    check("SIGTERM to all of them: the command is asked, and has its time", "asked" in said, said)
    check("SIGTERM to all of them: the status is the signal's or the command's", p.returncode in (7, 143), p.returncode)
    ends_whole(s, "SIGTERM to all of them")


def deaf_terminal(s):
    p = s.start(["sh", "-c", "echo UP; sleep 1000"], "--quiet", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    terminal = processes(s)["paddock-terminal"]
    kill(terminal, signal.SIGSTOP)
    kill(p.pid, signal.SIGTERM)
    p.wait(WAIT + 30)
    ends_whole(s, "a terminal process that does not end")


def nohup(s):
    p = subprocess.Popen(["nohup", *s.arguments(["sh", "-c", "echo UP; sleep 3; echo DONE"], "--quiet")], env=s.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    kill(p.pid, signal.SIGHUP)
    said = p.communicate(timeout=WAIT)[0]
    check("nohup: a hang-up does not end it", p.returncode == 0 and "DONE" in said, (p.returncode, said))


def failed(s):
    r = s.run(["echo", "x" * 70000])
    check("a start that fails says why", r.returncode == 125 and "64 KiB" in r.stderr, (r.returncode, r.stderr[-300:]))
    check("and leaves no trail that looks cut off", not s.records("start") or s.records("stop"), s.records())


def main():
    for name, test in (("descriptors", descriptors), ("background", background), ("elsewhere", background_with_output_elsewhere),
                       ("stopped", stopped), ("group", group), ("deaf", deaf_terminal), ("nohup", nohup), ("failed", failed)):
        with sandbox(name) as s:
            test(s)
    finish()


main()
