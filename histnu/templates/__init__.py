"""Physics meets detector: recoil spectra folded with responses, once per basis spectrum."""
