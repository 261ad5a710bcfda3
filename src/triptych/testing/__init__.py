"""Test support without Postgres for authors of sources, AI steps and export formats.

The in-memory stores and queues pass the contract suites of the Postgres ones. `collect` runs one
source, `run_step` one step over a snapshot from `make_snapshot`, `export_pictures` one format. No
other part of Triptych imports this package.
"""
