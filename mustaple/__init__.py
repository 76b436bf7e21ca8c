"""A TLS server always proves that its certificates are not revoked, or the strict client refuses it."""
