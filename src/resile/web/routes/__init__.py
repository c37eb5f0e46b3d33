"""One module for each group of paths; `app.py` puts them together."""
