"""A run folder as an object: open, detect, predict; its files and its checkpoints."""
