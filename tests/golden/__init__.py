"""Results of other systems, recorded with their weights in their own layouts by the make_*.py scripts."""
