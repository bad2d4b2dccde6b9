"""A detector as one graph in one file, which is run without lmkit."""
