"""How good a detector is: protocols whose numbers can be compared, and what they state."""
