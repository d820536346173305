"""The forge: where a repository is hosted that has workflows, pull requests and a plan; set up and checked.

`port` is what is asked of any forge, and `setup` has it planned, told and done. `client` sends the calls of a forge's
API; `files` are the files that a default branch needs, and `keys` the judge's, made in memory. `github` answers the
port, by what `plans` say that a repository can have and with the `variables` that its files read, and `project` is one
of GitLab's. Who adds a forge writes one file beside them. `docket` is what the judge asks of a forge that does not
start it, `gitlab` and `gitea` answer, and `sweep` has everything judged that waits there, by verbs that are processes
of their own. Nothing else here judges or promotes. `proposal` is what a program asks to be changed, as a branch that is
pushed once, and `pulls` opens its pull request.
`commands` may import it.
"""
