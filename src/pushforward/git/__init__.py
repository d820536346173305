"""Git: the room that runs git (the hook has `policy.objects` of its own), and the names of every ref.

`repository` runs git in one repository from a clean environment, and `environment` is that; `reading` keeps a
`git cat-file` at hand where many objects are read; `person` asks git who is at work and what they sign with; `form`
says which repositories git or DVC cannot read; `refs` is the schema of what is kept in git; `remote` says where a
remote is; `server` is the bare repository that judges what is pushed to it, and its folder; `whereabouts` tells one
that was moved from a copy; `swap` moves a ref of a remote; `hooks` are those of a clone that call us; `kept` are the
names of what a run may leave in git. Every room above may import it; it knows none of them.
"""
