"""Landmarks of plain image files: found, written and drawn, of any number."""
