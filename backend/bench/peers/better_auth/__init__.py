"""better-auth with its phone-number plugin on Node, one process per core."""
