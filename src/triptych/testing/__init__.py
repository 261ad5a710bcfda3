"""Test support without Postgres for authors of sources, AI steps and export formats.

The in-memory stores and queues pass the contract suites of the Postgres ones. `collect` runs one
source, `run_asset_step` one asset step over pictures, `run_step` one brand-wide step over a
snapshot of pictures, with asset steps before it, and `export_pictures` one format; `make_snapshot`
returns the snapshot itself. A `Picture` is what a run would have acquired. No other part of
Triptych imports this package.
"""
