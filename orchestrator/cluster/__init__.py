"""The cluster: the resources of a trial, the connection to Ray, checks before a sweep, and jobs that are sent.

Ray is imported inside functions, so that importing this room is cheap.
"""

from __future__ import annotations

from orchestrator.cluster.connection import connected, packed
from orchestrator.cluster.packing import parse_memory
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.submission import Submission, load_submission, submission_of

__all__ = [
    "Resources",
    "Submission",
    "connected",
    "load_submission",
    "packed",
    "parse_memory",
    "submission_of",
]
