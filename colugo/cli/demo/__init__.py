"""`colugo demo`: real processes that find each other, talk, fail and return, on this machine only."""
