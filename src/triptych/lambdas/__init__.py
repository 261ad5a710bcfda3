"""The workers as AWS Lambda functions: the same phases, called with batches instead of polling."""
