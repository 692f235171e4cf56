"""Cells, plans and the loops that run them, one set of loops per device. Knows nothing of layers or of the
caller's arrays.
"""
