"""One thing of each kind, as an installed package brings them: a file each, and a line each in entry_points.txt."""
