"""Search: from texts, assets and pictures to the assets that lie nearest."""
