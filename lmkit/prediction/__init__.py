"""Landmarks of plain picture files: found, written and drawn, of any number."""
