"""Real clients, unchanged: curl, git, npm, pip, Python, Node, Claude Code and Codex, each doing its work.

needs: clients
"""
import clients
from paddock import check, finish, sandbox, world

with world(clients.NODE_24) as w, sandbox("clients", w, clients.tools_policy()) as s:
    for task in clients.TASKS:
        task(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
