"""Several runs as one piece of work: trained and measured, and resumed wherever they were stopped."""
