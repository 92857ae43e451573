"""The former place of :mod:`histnu.sources.solar`."""

from histnu.sources.solar import (
    COMPONENTS as COMPONENTS,
)
from histnu.sources.solar import (
    flux_parameter as flux_parameter,
)
from histnu.sources.solar import (
    load_flux as load_flux,
)
from histnu.sources.solar import (
    load_production as load_production,
)
from histnu.sources.solar import (
    solar_source as solar_source,
)
from histnu.sources.solar import (
    solar_sources as solar_sources,
)
