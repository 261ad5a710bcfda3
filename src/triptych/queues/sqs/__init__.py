"""Amazon SQS: the queues of the AWS shape."""
