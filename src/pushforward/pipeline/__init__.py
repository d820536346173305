"""The pipeline: DVC, and what a commit says of itself.

`dvc` is the only module that touches DVC; `dvctext` puts what DVC says into a sentence; `lint` refuses what a dvc.yaml
may not say; `store` reads the objects that DVC keeps; `revision` reads a commit's settings and model; `environment` is
the locked environment of a commit. It runs a project's stages and writes its caches, and judges nothing. The rooms
from `registry` up may import it.
"""
