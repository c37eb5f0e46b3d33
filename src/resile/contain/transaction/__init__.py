"""A transaction over folders: what is changed in them is committed whole, or never happened."""
