"""How fast a step and a detection are, beside the same written the straightforward way."""
