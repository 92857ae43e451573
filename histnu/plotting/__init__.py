"""Figures from results documents; takes plain results, knows nothing of fits."""
