"""Triptych in a notebook: a client without `await`, whose results show themselves."""
