"""Studies, their plans, sweeps, records and reports."""
