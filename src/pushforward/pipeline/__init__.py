"""The pipeline: DVC, and what a commit says of itself.

`dvc` opens DVC, in which `patches` changes what would be wrong here: they alone import it (`release.rebuild` starts it
in a process of its own); `graph`, `stages` and `remote` hold what it has loaded, run and sent, `abreast` has it run
several stages at once, and `runcache` moves what it remembers of them; `dvctext` puts what DVC says into a sentence;
`lint` refuses what a dvc.yaml may not say, `folders` where each of them lies, `declared` which metrics they name;
`frozen` whose word counts of a stage that never runs; `lock` reads and writes a dvc.lock, `storage` says where a
checkout keeps its data, `store` reads the objects there; `revision` is a commit and what it says of itself, `fitted`
with what its model was made, `checkout` one to be thrown away; `environment` is the locked environment of a commit,
which `installer` makes by uv, of a `poetry` lock too; `part` runs some stages and leaves the others. It runs a
project's stages and writes its caches, and judges nothing.
The rooms from `registry` up may import it.
"""
