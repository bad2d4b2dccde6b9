"""Cached datasets: images as the squares that networks see, on the disk or on the device."""
