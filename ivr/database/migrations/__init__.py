"""The schema's migrations, oldest first in `versions`."""
