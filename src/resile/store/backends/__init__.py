"""Where a store lives: a folder, memory, a bucket."""
