"""Claude Code and Codex at a real terminal: their prompts, a question, its answer, the end by Ctrl-C.

needs: clients
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import clients
from paddock import BASE, check, finish, sandbox, world

CONTROL = re.compile(r"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[()].|\x1b[=>78]")


class Terminal:
    """A terminal of 100 by 30 with a run in it, and who sits before it."""

    def __init__(self, s, command, env, *options):
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = s.start(command, *options, env={**env, "TERM": "xterm-256color"},
                               stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(inner)
        self.raw = ""

    def shown(self):
        return CONTROL.sub("", self.raw)

    def expect(self, pattern, seconds=30):
        """Reads until @pattern is shown; answers as a terminal that is asked where its cursor is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not re.search(pattern, self.shown()):
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                new = os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                break	# the other end is closed
            self.raw += new
            os.write(self.fd, b"\x1b[1;1R" * new.count("\x1b[6n") + b"\x1b[?62c" * new.count("\x1b[c"))
        return re.search(pattern, self.shown()) is not None

    def type(self, text):
        """As a hand would: what comes in one piece is taken for a paste."""
        for part in (text, "\r"):
            os.write(self.fd, part.encode())
            self.expect("(?!)", 0.5)

    def interrupt(self):
        """Ctrl-C twice: agents take that for the end themselves; where one does not, Paddock does."""
        for wait in (0.3, 10):
            os.write(self.fd, b"\x03")
            if self.expect("trail:", wait):
                return

    def close(self):
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            code = self.process.wait()
        os.close(self.fd)
        return code


def ask(name, t, ready):
    check(f"{name}: its prompt is drawn", t.expect(ready), t.raw)
    t.type("hello @@say whinny@@")
    check(f"{name}: an answer to what was typed", t.expect(r"[●⏺•] ?whinny"), t.shown())
    t.interrupt()
    code = t.close()
    check(f"{name}: Ctrl-C twice ends it, and the summary follows", code in (0, 143) and "trail:" in t.shown(),
          (code, t.shown()[-800:]))


# What its first start would ask about: the theme, the key, the workspace.
SETTINGS = """\
cat > $HOME/.claude.json <<END
{"hasCompletedOnboarding": true, "theme": "dark",
 "customApiKeyResponses": {"approved": ["$(printenv ANTHROPIC_API_KEY | tr -d '\\n' | tail -c 20)"], "rejected": []},
 "projects": {"$PWD": {"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}}}
END
exec """


def claude(s):
    clients.agent_policy(s, "claude")
    s.set_policy(s.policy.read_text() + f"filesystem: {{visible: [{{path: {BASE}/clients/node_modules}}]}}\n")
    t = Terminal(s, ["sh", "-c", SETTINGS + clients.tool_of("claude")],
                 {"ANTHROPIC_API_KEY": w.info["tokens"]["anthropic"]})
    ask("claude", t, "❯")


def codex(s):
    clients.agent_policy(s, "codex")
    trusted = f'projects={{"{s.workspace}"={{trust_level="trusted"}}}}'
    t = Terminal(s, [clients.tool_of("codex"), *clients.KEYED, "-m", "gpt-5", "-c", trusted],
                 {"OPENAI_API_KEY": w.info["tokens"]["openai"]})
    ask("codex", t, "›")


with world() as w, sandbox("prompts", w) as s:
    claude(s)
    codex(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
