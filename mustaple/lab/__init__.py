"""The bench: experiments built from the parts, with servers and processes of their own."""
