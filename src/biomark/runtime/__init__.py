"""General support for a program: settings, files, interrupts, progress, the machine. Nothing here concerns text."""
