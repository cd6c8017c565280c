"""Objectives as data: edges, the catalogue of algorithms, and what follows from them."""

from rpax.objectives.catalogue import ALGORITHMS, algorithm
from rpax.objectives.edges import Objective, ObjectiveEdge
from rpax.objectives.files import load_objective, save_objective
from rpax.objectives.plan import Pairing, Plan, Term, make_plan

__all__ = [
    "ALGORITHMS",
    "Objective",
    "ObjectiveEdge",
    "Pairing",
    "Plan",
    "Term",
    "algorithm",
    "load_objective",
    "make_plan",
    "save_objective",
]
