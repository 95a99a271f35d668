"""The messaging patterns: publish/subscribe, request/reply, and the repeater."""
