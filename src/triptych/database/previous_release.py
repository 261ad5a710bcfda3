"""The release before this one, with which this code shares a database while it is rolled out.

Its code serves on this code's schema, and this code serves on its schema:
`tests/database/test_previous_release.py` runs both. CONTRIBUTING says when these two move.
"""

from __future__ import annotations

COMMIT = "5de6440c55d688ac47e36db27171b6bff0c4dc46"
"""The commit that it was built from."""
LEVEL = 29
"""Its schema level: the number of its newest migration. This code serves on no older schema."""
