"""Where staples go: a file for each kind of target, all by the contract in `contract.py`, listed in `kinds.py`."""
