"""Pure physics: arrays in, arrays out. No files, no pyhf, no global state.

Natural units (MeV) inside; recoil energies at the interfaces in keV, rates in events/(t yr keV).
Equation numbers refer to the paper that the first release reproduces (see ``docs/physics.md``).
"""
