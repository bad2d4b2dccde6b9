"""Data: what ``--data`` can name, which images train and which test, and how batches are read."""
