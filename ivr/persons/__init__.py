"""People who show each other who they are: what the desk's process does for them, behind the public page."""
