"""`robust-sweep run STUDY --root ROOT` for tests that kill it: it saves a state after every epoch.

What the dead had claimed it takes over after STALE seconds. Arguments: STUDY ROOT STALE [ADDRESS [TRACKING_URI]]
"""

import sys

from rich.console import Console

from orchestrator.cluster.resources import Resources
from orchestrator.commands.lookup import find_study
from orchestrator.commands.run import run_study
from orchestrator.planning.plan import expand
from orchestrator.storage import claims
from orchestrator.storage.store import Store


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
