"""The report: a verdict as markdown, terminal text, notes and plots.

`markdown` writes both texts and knows no forge; `notes` keeps reports in git notes; `plots` draws with DVC's
templates. How something looks is changed here, and what it says in `gate`. The rooms from `judge` up may import it.
"""
