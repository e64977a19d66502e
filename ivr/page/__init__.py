"""The public page: the company shows a person who it is. A process of its own, which faces the internet and has little."""
