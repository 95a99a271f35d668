"""From what was gathered on a network to what is wrong with it: pure, so it can be tested without one."""
