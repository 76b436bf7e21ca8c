"""The staple agent: keeps a good staple for every certificate of many chains, and hands it to servers that cannot."""
