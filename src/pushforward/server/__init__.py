"""The server: a bare repository's run queue.

`init` makes it, `check` examines it, `gc` tidies it; `post_receive` is the hook; `dispatch` starts what `pending`
derives from refs, each run by `execute`, of a `subject`, after its `concurrency` group; `record` keeps what came of
it; `runs` and `console` show it; `recover` clears what the dead leave. The only room that starts detached processes.
`commands` alone may import it.
"""
