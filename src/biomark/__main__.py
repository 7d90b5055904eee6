"""`python -m biomark` is `biomark`."""

from biomark.cli import main

main()
