"""The commands: one for each verb. Parse, call, print, exit code.

`cli` has them all. The only room that knows click, and no room may import it.
"""
