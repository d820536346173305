"""The views: what people see of a repository's history, read from git alone.

`history` reads everything in a fixed number of processes into a `snapshot`; `show` is the table of the terminal;
`pages` and `web` are the pages: what they list is in `lists`, a version's card in `cards`, their looks in `rendering`,
`templates`, `charts` and `svg`. It writes nothing but the pages. `commands` alone may import it.
"""
