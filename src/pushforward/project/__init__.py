"""The project: any DVC repository, as it is found, and pushforward.yaml, in which it is told to pushforward.

`schema` is the format of that file. It reads a work tree and writes no file but its own; it runs no stage and asks no
network. The commands and the rooms from `pipeline` up may import it.
"""
