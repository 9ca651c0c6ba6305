"""The side of the boundary that decodes: standard library, PyAV and Pillow, nothing else."""
