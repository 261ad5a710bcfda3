"""``python -m triptych``."""

from triptych.cli.command_line import main

main()
