"""The step ``alt_text``: which pictures have no alt text, or a poor one."""
