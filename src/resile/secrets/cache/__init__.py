"""Values of secrets in a process's memory: how long each is served, kept fresh, and let go."""
