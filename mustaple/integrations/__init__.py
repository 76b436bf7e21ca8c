"""mustaple inside other people's libraries: transports for httpx, fixtures for pytest."""
