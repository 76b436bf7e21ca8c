"""The long view: what policies cost and protect over months, for a population of sites, in numbers."""
