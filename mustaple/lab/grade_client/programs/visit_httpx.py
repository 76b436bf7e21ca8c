"""httpx as a client: python visit_httpx.py URL CA."""

from __future__ import annotations

import ssl
import sys

import httpx

if __name__ == "__main__":
    if sys.argv[1] == "--version":
        print(f"httpx {httpx.__version__} with {ssl.OPENSSL_VERSION}")
    else:
        try:
            httpx.get(sys.argv[1], verify=ssl.create_default_context(cafile=sys.argv[2]), timeout=20)
        except httpx.TransportError as error:
            sys.exit(f"refused: {error}")
