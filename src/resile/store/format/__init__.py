"""The bytes of a store: frames, packs, trees, snapshots, keys."""
