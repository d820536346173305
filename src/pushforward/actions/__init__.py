"""GitHub Actions on this machine, by act.

`act` runs one workflow, in a `place`, under a `supervisor` that alone starts act, into a `runlog`, to a `result`.
`workflow`, `filters`, `lint`, `expression`, `cron` and `event` read what GitHub would read, and are pure, as are
`chain`, which says what follows what, and `inputs` of what is started by hand; `log` reads what act says; `artifacts`
and the folder `stand_ins` take the place of GitHub's own actions inside a run. It knows nothing of models. `server`
alone starts runs.
"""
