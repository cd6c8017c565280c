"""How good, how robust and how rational trained agents are."""
