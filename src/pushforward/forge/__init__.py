"""The forge: where a repository is hosted that has workflows, pull requests and a plan; set up and checked.

`port` is what is asked of any forge, `client` sends the calls of its API. Who adds a forge writes one file beside
`github` that answers the port. Nothing here judges or promotes.
`commands` may import it.
"""
