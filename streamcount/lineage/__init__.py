"""Who came of whom: a followed run as tables, pictures, and files that other programs read.

`results` and `folder` read a run, and `service.lineages` does from the topics; `build` makes tracks of events and
sightings, `model` is what they give; `ctc` and `tables` write it, `summary` counts it, `layout`, `tree` and `paths`
draw it (needs the ``lineage`` extra).
"""
