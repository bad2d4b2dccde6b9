"""The command line: one file a command, results on stdout, progress and notes on stderr."""
