"""The datasets that lmkit itself brings, and what they share."""
