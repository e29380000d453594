"""Where keys and values lie: the newest tokens, the block arena, its tiers and files. Knows nothing of methods."""
