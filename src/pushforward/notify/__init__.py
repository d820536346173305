"""Who is told of what happens: by a webhook, or by mail.

`asked` is whether anybody wants to be. `news` is what there is to tell, in the form of each; `targets` sends it to an
address that no repository holds; `spool` keeps on disk what could not be sent, tries it again, and says what it has
dropped. Nothing here decides anything, and no exit code of a run depends on it. What is news is said by
`server.telling`, and on a forge by `pushforward notify`.
`server` and `commands` may import it.
"""
