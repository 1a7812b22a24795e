"""`robust-sweep run STUDY --root ROOT` for tests that kill it: it saves a state after every epoch.

What the dead had claimed it takes over after STALE seconds. Arguments: STUDY ROOT STALE [ADDRESS [TRACKING_URI]]
"""

import sys

from rich.console import Console

from orchestrator import claims
from orchestrator.lookup import find_study
from orchestrator.plan import expand
from orchestrator.resources import Resources
from orchestrator.session import run_study
from orchestrator.store import Store


def main(study, root, stale, address="", uri=""):
    claims.STALE_SECONDS, claims.BEAT_SECONDS = float(stale), float(stale) / 6
    store = Store(root)
    return run_study(
        expand(find_study(study, store)),
        store,
        resources=Resources(address=address or None),
        tracking_uri=uri or None,
        data_folder="",
        download=False,
        console=Console(width=120),
        state_seconds=0.0,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
