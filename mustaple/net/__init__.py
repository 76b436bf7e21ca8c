"""The edges: the library's sockets, files and clocks."""
