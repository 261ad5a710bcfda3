"""What Triptych is measured beside; run in an environment of its own, `.venv-peers`."""
