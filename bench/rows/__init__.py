"""The rows of the bench: each module says how a row is measured, and has our contenders in it.

A contender imports its row, so nothing is imported here.
"""
