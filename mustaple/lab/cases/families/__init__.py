"""The families of cases, one module each: a function per case, declared by `@case`."""
