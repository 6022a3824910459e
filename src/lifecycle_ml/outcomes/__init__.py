"""Labels, snapshots and splits: the only room that may look ahead."""
