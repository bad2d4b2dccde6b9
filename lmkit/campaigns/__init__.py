"""Several runs as one piece of work: trained and measured, stopped and gone on with anywhere."""
