"""``python -m triptych``."""

from triptych.cli.app import main

main()
