"""An editor at a real terminal (tmux is the terminal, and tells what its screen shows); what a slow start shows, and where."""
import os
import pty
import shlex
import shutil
import subprocess

from paddock import BIN, SLOW, check, finish, sandbox, wait_for

WAIT = 120 if SLOW else 30


def tmux(s, *arguments):
    return subprocess.run(["tmux", "-f", "/dev/null", "-S", str(s.root / "tmux"), *arguments], env=s.env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30).stdout


def editor(s):
    def shows(text):
        return wait_for(lambda: text in tmux(s, "capture-pane", "-p"), WAIT)

    def screen():
        return tmux(s, "capture-pane", "-p")

    (s.workspace / "poem").write_text("the first line\n")
    run = shlex.join(s.arguments(["vim.tiny", "-N", "-u", "NONE", "-n", "poem"], "--quiet"))
    tmux(s, "new-session", "-d", "-x", "80", "-y", "24", f"{run}; echo ended with $?; sleep 1000")
    check("vim: its screen is drawn over the whole terminal", shows("the first line") and screen().count("\n~") == 22, screen())
    tmux(s, "send-keys", "Go", "typed, ünd not ASCII", "Escape")
    check("vim: what is typed is shown", shows("typed, ünd not ASCII"), screen())
    tmux(s, "resize-window", "-x", "100", "-y", "30")
    check("vim: a new size of the terminal reaches it", wait_for(lambda: screen().count("\n~") == 27, WAIT), screen())
    tmux(s, "send-keys", ":set columns? lines?", "Enter")
    check("vim: in both directions", shows("columns=100") and shows("lines=30"), screen())
    tmux(s, "send-keys", "Enter", ":wq", "Enter")
    check("vim: it ends, and gives the screen back", shows("ended with 0") and "typed" not in screen(), screen())
    text = (s.workspace / "poem").read_text()
    check("vim: the file is written", text == "the first line\ntyped, ünd not ASCII\n", text)
    tmux(s, "kill-server")


def slow_start(s):
    """The terminal's process comes up late: so the start takes longer than a second, wherever it runs."""
    late = s.root / "late"
    shutil.copytree(BIN, late)
    (late / "paddock-terminal").write_text(f"#!/bin/sh\nsleep 2\nexec {BIN}/paddock-terminal\n")

    def said(*options, err_is_terminal=True):
        """All that comes to the terminal, and what comes elsewhere."""
        fd, inner = pty.openpty()
        arguments = [str(late / os.path.basename(s.program())), *s.arguments(["echo", "UP"], *options)[1:]]
        p = subprocess.Popen(arguments, env=s.env, stdin=inner, stdout=inner,
                             stderr=inner if err_is_terminal else subprocess.PIPE)
        os.close(inner)
        seen = b""
        try:
            while chunk := os.read(fd, 65536):
                seen += chunk
        except OSError:
            pass	# it has ended
        os.close(fd)
        return seen.decode(), (p.communicate(timeout=60)[1] or b"").decode(), p.returncode

    seen, _, code = said()
    before, _, after = seen.partition("UP")
    check("a slow start: what is done, and for how long, from one second on", code == 0 and
          "\r\x1b[Kpaddock: the machine boots (1." in before and "boots (0." not in before, seen)
    check("a slow start: the line is gone when the command has the terminal",
          before.endswith("\r\x1b[K") and "boots" not in after and "UP" in seen, seen)
    for what, result in (("--quiet", said("--quiet")), ("standard error that is no terminal", said(err_is_terminal=False))):
        check(f"a slow start: nothing of it with {what}", result[2] == 0 and result[0].strip() == "UP" and
              "boots (" not in result[1], result)


with sandbox("terminal", policy="version: 1\n") as s:
    editor(s)
    slow_start(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
