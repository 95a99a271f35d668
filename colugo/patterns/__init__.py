"""The messaging patterns: publish/subscribe, requests and surveys, streams, and timers."""
