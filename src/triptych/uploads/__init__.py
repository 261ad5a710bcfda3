"""Files that somebody brought, to be read as lists."""
