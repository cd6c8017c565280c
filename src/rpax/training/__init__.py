"""Algorithm 1: rollouts, the base agents' update, the lookahead, the manipulators' update, and the loop around them."""
