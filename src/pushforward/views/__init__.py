"""The views: what people see of a repository's history, read from git alone.

`history` reads everything in a fixed number of processes into a `snapshot`; `show` is the table of the terminal.
`pages` and `web` are the pages: what they list is in `lists`, what `search` asks of that, two runs beside each other in
`compare`, a version's card in `cards`, how one in use does in `looked`, code in `changes`, a server's runs in
`underway`; their looks are in `rendering`, `templates`, `charts` and `svg`. `explained` is one row as a page of its
own; `feed` and `badge` are for machines, `addresses` lead to a forge, and `answers` are what goes out.
It writes nothing but the pages. `commands` alone may import it.
"""
