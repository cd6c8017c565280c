"""Policies: distributions over actions, the networks that produce them, and what an agent is made of."""
