"""Snapshots of folders in packs named by their hash: taken, verified, repaired, restored."""
