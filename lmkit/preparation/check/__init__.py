"""What ``lmkit data check`` does: looks a data set over before anything is trained on it."""
