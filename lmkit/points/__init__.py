"""Named points from landmarks: linear maps, fitted to a few labelled images and kept in a file."""
