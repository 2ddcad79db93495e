"""Real clients, unchanged: curl, git, npm, pip, Python, Node, Claude Code and Codex, each doing its work.

needs: clients
"""
import clients
from paddock import check, finish, sandbox, world

with world() as w, sandbox("clients", w, clients.tools_policy()) as s:
    for task in (clients.curl, clients.python, clients.node, clients.events, clients.sizes, clients.npm,
                 clients.pip, clients.git, clients.claude, clients.claude_encoded, clients.codex):
        task(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
