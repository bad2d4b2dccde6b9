"""Several runs as one piece of work: trained, measured, and resumed wherever they stopped."""
