"""Boxes around commands, and the launchers that build them: native, bubblewrap, pure Python."""
