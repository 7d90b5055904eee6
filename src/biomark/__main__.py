"""Run the command line with `python -m biomark`."""

from biomark.cli import main

main()
