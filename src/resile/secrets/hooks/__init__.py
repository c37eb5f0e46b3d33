"""Credentials for other people's libraries: read for each login, and once anew if they are refused."""
