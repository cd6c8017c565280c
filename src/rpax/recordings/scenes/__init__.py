"""From the states of an environment to small whole numbers, and what a page needs to draw them."""
