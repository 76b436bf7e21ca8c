"""The corpus before judges of other making: what each says of the same evidence, and where it differs from ours."""
