"""Training: components are assembled, steps are run, checkpoints are kept. Nothing here prints."""
