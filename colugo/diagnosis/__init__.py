"""From what was gathered on a network to what is wrong with it: pure, so that it can be tested without one."""
