"""GitHub Actions on this machine, by act.

`act` runs one workflow and is the only module that starts act; `workflow`, `expression`, `cron` and `event` read what
GitHub would read, and are pure; `log` reads what act says; `artifacts` and the folder `stand_ins` take the place of
GitHub's own actions inside a run. It knows nothing of models. `server` alone starts runs.
"""
