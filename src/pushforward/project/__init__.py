"""The project: any DVC repository, as it is found, and pushforward.yaml, in which it is told to pushforward.

The format of that file is `schema`, of the ground. `survey` finds what a repository has, by `pipelines` (dvc.yaml),
`locks` (environments) and `reading` (foreign files, with their lines). `draft` writes the first pushforward.yaml, and
`move` that of a repository with it in params.yaml; `workflows` are the generated files of a forge, `tool` is from where
they get pushforward, `actrc` has act run them in a clone, and `locking` locks by uv what is named loosely. `adopt`
plans, and writes all of it, `told` says it, and `faults` are what a project lacks. `new` makes a small whole project
where there is none, of the templates that `sample` has. `scorecard` says which rows of the ML Test Score (`rubric`) a
repository earns. It runs no stage, asks no network but the package index, for
`locking`, and commits nothing but what is new.
`commands` may import it, and the rooms from `pipeline` up.
"""
