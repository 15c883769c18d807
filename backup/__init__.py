"""Backup of the databases of this box into a restic repository, and the way back."""
