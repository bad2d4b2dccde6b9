"""The paper's settings, and the rows of its tables, one TOML file each."""
