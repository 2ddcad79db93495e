"""The tools of a developer in the microVM: curl, Python, Node, npm, pip, git."""
import clients
from paddock import check, finish, sandbox, world

with world() as w, sandbox("tools", w, clients.tools_policy()) as s:
    for task in (clients.curl, clients.python, clients.node, clients.events, clients.sizes, clients.npm,
                 clients.pip, clients.git):
        task(s)
    check("nothing is left behind", not s.left_behind(), s.left_behind())
finish()
