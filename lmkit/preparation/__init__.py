"""Everything before the first step: data opened, divided, cached and checked."""
