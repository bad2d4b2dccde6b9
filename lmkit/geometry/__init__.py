"""Pure tensor functions: coordinates, soft-argmax, heatmaps and warps.

Coordinates are the same everywhere in lmkit: points are (..., 2) tensors of (x, y) in [-1, 1],
where -1 and 1 are the outer edges of the image and pixel centres lie half a pixel inside
(``align_corners=False``). Nothing here needs float64 or border-padded sampling, so that everything
runs on CUDA, MPS and the CPU alike.
"""
