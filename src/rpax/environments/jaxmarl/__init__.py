"""Games of JaxMARL behind the two-seat protocol: Overcooked, OvercookedV2, Hanabi, and objects of the same style.

JaxMARL is imported when such a game is made, not before; nothing here is imported by this package itself.
"""
