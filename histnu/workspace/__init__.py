"""Templates become HistFactory JSON: samples, modifiers, measurements, PatchSets, checks."""
