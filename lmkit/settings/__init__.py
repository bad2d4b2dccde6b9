"""One run's settings, free of torch."""
