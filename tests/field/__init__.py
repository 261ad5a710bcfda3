"""Reports from the field, a row each: what others reported of other products, tried on this one.

A new report is a new row, and its input a new file beside the table.
"""
