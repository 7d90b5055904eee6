"""What any program needs: settings, files, interrupts, progress, the machine; nothing of biomedical text."""
