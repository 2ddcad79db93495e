"""Claude Code and Codex in the microVM, each doing a task, under the policy that `paddock init` writes.

needs: clients
"""
import clients
from paddock import check, finish, sandbox, world

with world() as w, sandbox("agents", w) as s:
    for task in (clients.claude, clients.codex):
        task(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
