"""The pure Python launcher: the same as launcher.c, for machines without a compiler."""
