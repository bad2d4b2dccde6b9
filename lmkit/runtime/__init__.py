"""Where and how things run: processes, devices, live components, signals."""
