"""Experiments are data: validated YAML files and tables become frozen objects.

This package knows nothing of neutrinos and nothing of pyhf.
"""
