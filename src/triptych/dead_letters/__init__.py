"""Messages that could not be processed, kept to be read and sent again."""
