"""histnu: neutrino electromagnetic physics as pyhf/HistFactory likelihoods.

Importing this package reads no file and starts no backend; take what you need from the
subpackages, which follow the order of the calculation::

    physics -> experiments -> templates -> workspace -> inference -> report, export, plotting
"""

__version__ = "0.1.0"
