"""Neutrino sources: which fluxes reach a detector, with flavours, arrival times, uncertainties."""
