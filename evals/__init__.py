"""How good the insights are, on real pictures: ``python -m evals [ROOM…]``.

Each file with a function ``measure`` is a room: it returns figures, each beside those of a named
baseline of the same run. `evals.page` keeps them and writes ``docs/insights.md`` from them.
"""
