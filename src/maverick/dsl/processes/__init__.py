"""Child processes of a run: started once noted, stopped as groups, secrets masked."""
