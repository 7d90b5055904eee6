from biomark.cli import main

main()
