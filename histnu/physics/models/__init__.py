"""Signal hypotheses. Each is a set of basis spectra and a polynomial of its parameters."""
