"""What processes share that knows nothing of brands: retries, batches, cancellation, the server."""
