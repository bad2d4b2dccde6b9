"""The tables of Li et al. 2020 as campaigns: their rows, their figures, and how ours deviate."""
