"""The server: a bare repository's run queue.

`init` makes it, with a copy of the `tool`, and takes over the tags of GTO's that were there (`foreign`); `check`
examines it, with the findings (`finding`) of its `installation`, of `soundness`, what the registry vouches for
(`vouched`), the project's `sections` for the loop, and a whole run in a scratch server (`trial`), and `mend` mends;
`gc` tidies it; `post_receive` is the hook; `dispatch` starts what `pending` derives from refs, each as a `fork` of its
own, and what `requests` hold that `triggers` have made of a tag, of the end of a run, of a person, after its
`concurrency` group; `execute` sees to a run, which is the `workflows` of a `subject` by its `plan`, each with what
`provision` gives it, until somebody's `wish` ends it, or is `carried`, for nothing is judged anew, or `adopted`, for a
pull request has run the same tree, or `untrained`, for its holdout answers no more; it waits for what is `required`,
and its `ends` are followed; `distant` is a store that is no folder here: its login, and what runs without network need
of it; `flows` are the workflow files of a commit, its own or the tool's; `telling` has people told of a run's end,
`beside` of what serves elsewhere; `care` tells the machine's fault from the commit's; `record` keeps what came of a
run; `runs`, their `steps` and `console` show it, and whose turn comes before whose, as `dispatch` has written it;
`recover` clears what the dead leave, and what hooks have `left` is read as hostile; `clone` is what act, typed in a
clone, has in place of a server.
The only room that starts detached processes. `commands` alone may import it.
"""
