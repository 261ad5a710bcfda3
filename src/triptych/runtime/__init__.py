"""What processes share, independent of brands: retries, batches, cancellation, the server."""
