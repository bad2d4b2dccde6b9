"""The core registry: which components exist and which package brings them, without torch."""
