"""GitHub Actions on this machine, by act.

`act` runs one workflow, in a `place`, under a `supervisor` that alone starts act, into a `runlog`, to a `result`.
`workflow`, `filters`, `matrix`, `expression` with `functions`, `cron` and `event` read what GitHub would read. `lint`
says what is wrong with a file, at which of its `lines`: `grammar` by the table `language`, which is written after
GitHub's documents, `rules` by what GitHub's reader refuses beside it, `local` of actions of the repository; `chain`
what follows what, `inputs` what a run by hand is given. `dialect` writes a workflow in the words that act has. All of
these are pure. `commits` tells act what was pushed, `log` reads what act says; `artifacts` and the folder `stand_ins`
take the place of GitHub's own actions inside a run. The room knows nothing of models. `server` alone starts runs.
"""
