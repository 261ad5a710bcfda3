"""The workers as AWS Lambda functions: the same phases, called with batches instead of polling."""

from triptych.runtime.cpu import one_thread_each

one_thread_each()
