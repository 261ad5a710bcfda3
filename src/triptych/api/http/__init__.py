"""What every resource of the API shares: responses, errors, paging, idempotency, access."""
