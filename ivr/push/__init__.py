"""Messages to a person's own browser or app."""
