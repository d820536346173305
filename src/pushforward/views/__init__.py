"""The views: what people see of a repository's history, read from git alone.

`history` reads everything in a fixed number of processes; `show` is the table of the terminal; `pages` and `web` are
the pages, their looks in `templates`, `charts` and `svg`. It writes nothing but the pages. `commands` alone may
import it.
"""
