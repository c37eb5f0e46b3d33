"""Changes to trees of files that are written down before they are done, and can be taken back."""
