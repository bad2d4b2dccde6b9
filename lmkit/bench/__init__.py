"""What a training step or a detection costs here: speed, operations, memory."""
