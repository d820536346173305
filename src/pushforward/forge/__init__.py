"""The forge: where a repository is hosted that has workflows, pull requests and a plan; set up and checked.

`port` is what is asked of any forge, `client` sends the calls of its API. Who adds a forge writes one file beside
`github` that answers the port. `desk` is what the judge asks of a forge that does not start it, `gitlab` and `gitea`
answer, and `sweep` has everything judged that waits there, by verbs that are processes of their own.
`commands` may import it.
"""
