"""The paper's tables: their rows, their figures, how ours deviate, and ``lmkit reproduce``."""
