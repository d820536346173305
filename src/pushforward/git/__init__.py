"""Git: the only room that runs git, and the names of every ref.

`repository` runs git in one repository from a clean environment; `remote` says where a remote is; `server` is the
bare repository that judges what is pushed to it, and its folder. Every room above may import it; it knows none of
them.
"""
