"""Data: what ``--data`` can name, which pictures train and which test, and how batches are read."""
