"""The staple agent under strain: a simulated month with responders that misbehave, and rounds of kill -9."""
