"""The workers as AWS Lambda functions: the same phases, invoked with batches of messages."""

from triptych.runtime.cpu import one_thread_each

one_thread_each()
