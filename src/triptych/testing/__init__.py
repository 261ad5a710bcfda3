"""For authors of sources, AI steps and export formats: what tests them without Postgres.

In-memory stores and queues that pass the contract suites of Postgres' own; `collect` runs one
source, `run_step` one step over a snapshot that `make_snapshot` makes, `export_rows` one format.
Nothing of the rest of Triptych imports this package.
"""
