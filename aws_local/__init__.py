"""The AWS shape on one machine: what stands in for AWS, and what runs on it."""
