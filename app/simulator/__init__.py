"""A stateful Google Business Profile over HTTP, for demos and tests. Imports nothing of the rest of `app`."""

from app.simulator.catalogue import Catalogue
from app.simulator.faults import Faults
from app.simulator.server import Simulator

__all__ = ["Catalogue", "Faults", "Simulator"]
