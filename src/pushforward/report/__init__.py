"""The report: a verdict as markdown, terminal text, notes and plots.

`markdown` and `terminal` set the `words` of a verdict, `several` those of several models, and know no forge; `note` is
a report as it is stored, and `notes` keeps them in git; `moved` lists the rows that gained and lost most; `plots` draws
with DVC's templates, by `vega`. How something looks is changed here, and its words; the verdict and its reason come of
`gate`, while they are sealed of `judge.seal`.
The rooms from `judge` up may import it.
"""
