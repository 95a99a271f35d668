"""Discovery over mDNS/DNS-SD."""
