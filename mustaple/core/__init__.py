"""What is true: judgements, policy and the wire, as pure functions of bytes, certificates and a given time."""
